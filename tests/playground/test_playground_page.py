"""The page in a real browser, served by the real command."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gratis

TINY = [
    *("model.channels=[8,8,8,8]", "model.head.width=16"),
    *("evaluate.images=20", "evaluate.pgd_steps=1"),
]
PATIENCE = 120_000  # milliseconds; a slow machine is no failure


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for recipe in ("resnet18", "free"):
        gratis.train(
            recipe, data="digits", out=folder / recipe, overrides=[*TINY, "train.epochs=2"]
        )
    return [folder / "resnet18", folder / "free"]


@pytest.fixture(scope="module")
def address(runs):
    """The address at which ``gratis play`` serves the page."""
    command = [sys.executable, "-m", "gratis.cli", "play", *map(str, runs), "--no-browser"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        said = ""
        while (line := server.stdout.readline()) and "http" not in line:
            said += line
        assert "http" in line, said
        assert said.startswith("Loading")
        yield line.split()[0]
        server.terminate()


@pytest.fixture
def page(browser, address):
    """The page after its first prediction; afterwards, no request left the machine."""
    opened = browser.new_page(viewport={"width": 1280, "height": 1000})
    opened.set_default_timeout(PATIENCE)
    outside, errors = [], []
    own = (address, "data:", "blob:")
    opened.on("request", lambda r: None if r.url.startswith(own) else outside.append(r.url))
    opened.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(address)
    opened.wait_for_load_state("networkidle")
    opened.wait_for_selector("#first-errors:has-text('changes the prediction to any other class')")
    yield opened
    opened.close()
    assert not outside
    assert not errors


def change(page):
    """Return the caption of the first model's perturbation."""
    return page.locator("figcaption", has_text="The perturbation").first.inner_text()


def wait_for_change(page, size):
    wanted = re.compile(rf"at most {re.escape(size)}/255")
    page.locator("figcaption", has_text=wanted).first.wait_for()


def test_epsilon_changes_the_attack_and_every_model_predicts(page):
    wait_for_change(page, "2.0")
    page.locator("#epsilon input[type=number]").fill("8")
    wait_for_change(page, "8.0")
    # The image and its perturbation of each model; the second model is attacked after the first.
    page.locator("figure img").nth(3).wait_for()
    headings = page.locator("h3").all_inner_texts()
    assert headings[:2] == ["● resnet18", "● free"]


def test_the_keyboard_is_enough(page):
    slider = page.locator("#epsilon input[type=range]")
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    wait_for_change(page, "3.0")
    page.get_by_label("none", exact=True).focus()
    page.keyboard.press("Space")
    page.locator("figcaption", has_text="No perturbation").first.wait_for()


def test_another_sample_has_another_prediction(page):
    before = page.locator("figure img").first.get_attribute("src")
    page.locator(".gallery-item").last.click()
    page.wait_for_function(
        "before => document.querySelector('figure img')?.src !== before", arg=before
    )


def test_what_is_no_image_is_said_in_one_line(page, tmp_path):
    file = tmp_path / "text.png"
    file.write_text("no image")
    page.get_by_role("button", name="Remove Image").click()
    page.locator("#image input[type=file]").set_input_files(file)
    toast = page.get_by_text("this is no readable image").first
    toast.wait_for()
    assert "\n" not in toast.inner_text()


def test_the_page_fits_a_phone(browser, address):
    opened = browser.new_page(viewport={"width": 390, "height": 844})
    opened.set_default_timeout(PATIENCE)
    opened.goto(address)
    opened.wait_for_selector("#first-errors:has-text('changes the prediction to any other class')")
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    # No tab is in a menu.
    for name in ("Attack an image", "Free training"):
        assert opened.get_by_role("tab", name=name).is_visible()
    opened.close()


def test_two_visitors_do_not_mix(browser, page, address):
    other = browser.new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(address)
    other.wait_for_selector("#first-errors:has-text('changes the prediction to any other class')")
    other.locator("#epsilon input[type=number]").fill("16")
    page.locator("#epsilon input[type=number]").fill("4")
    wait_for_change(other, "16.0")
    wait_for_change(page, "4.0")
    other.close()


def test_the_training_of_a_run_is_drawn(page):
    page.get_by_role("tab", name="Free training").click()
    page.get_by_text("The training of free").wait_for()
    page.get_by_text("replays, and epsilon in 255ths").first.wait_for()


def test_a_space_runs_alone(runs, tmp_path, within):
    """The folder has the program and the models: it needs neither gratis nor the runs."""
    space = tmp_path / "space"
    assert within("play", *runs, "--export", space)[0] == 0
    names = {path.name for path in space.iterdir()}
    assert names == {"app.py", "requirements.txt", "README.md", "models", "gratis"}
    needed = (space / "requirements.txt").read_text()
    assert "gradio" in needed
    assert "torch" in needed
    program = "import gradio; gradio.Blocks.launch = lambda *a, **k: print('launched'); import app"
    # Only the Space's own copy of the program: Python puts the current folder first.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    check = f"{program}; import gratis; print(gratis.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", check],
        cwd=space,
        env=environment | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if "src" not in p)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "launched" in done.stdout
    assert str(Path(space, "gratis")) in done.stdout
