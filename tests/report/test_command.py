"""``gratis report`` as a user meets it: on true runs, and with every bad input."""

import subprocess
import sys

import pytest

from gratis.data import load
from gratis.recipe import resolve
from gratis.run import train

TINY = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3"),
    *("train.epochs=1", "evaluate.images=30", "evaluate.pgd_steps=2"),
]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A folder of two true runs, such as reproduce leaves."""
    folder = tmp_path_factory.mktemp("out")
    for name in ("resnet18", "free"):
        train(resolve(name, "digits", TINY), folder / "runs" / f"{name}-seed0")
    return folder


def test_a_folder_of_runs_becomes_a_page_inside_it(out, within):
    code, (said, _) = within("report", out)
    assert code == 0 and f"in {out / 'report'}: report.html, report.md" in said
    html = (out / "report" / "report.html").read_text()
    for part in ("Figure 1</h2>", "Training</h2>", "Classes</h2>", "Images</h2>", "of 2 models"):
        assert part in html
    validation = load(resolve("free", "digits", TINY).data).validation
    assert f"a subset of 30 of the {len(validation)} validation images" in html
    # The baseline and one more, three classes each.
    assert html.count("<img ") in (2 * 3 * 4, 1 * 3 * 4)


def test_the_named_recipe_shows_its_images(out, within, tmp_path):
    runs = [out / "runs" / name for name in ("resnet18-seed0", "free-seed0")]
    assert within("report", *runs, "--show", "free", "--out", tmp_path / "page")[0] == 0
    html = (tmp_path / "page" / "report.html").read_text()
    assert html.count("<img ") == 3 * 4
    code, (_, complaint) = within("report", *runs, "--show", "fre", "--out", tmp_path / "other")
    assert code == 2 and "did you mean 'free'" in complaint
    assert not (tmp_path / "other").exists()


def test_without_a_checkpoint_the_page_goes_without_images(run_folder, within, tmp_path):
    run = run_folder()
    code, (_, complaint) = within("report", run, "--out", tmp_path / "page")
    assert code == 2 and complaint.count("\n") == 1
    assert str(run) in complaint and complaint.endswith("--no-images\n")
    assert not (tmp_path / "page").exists()
    assert within("report", run, "--no-images", "--out", tmp_path / "page")[0] == 0
    assert "<img " not in (tmp_path / "page" / "report.html").read_text()


def test_what_is_wrong_is_said_in_one_line(run_folder, within, tmp_path):
    run = run_folder()
    (run / "results.json").unlink()
    for arguments, expected in (
        ((tmp_path / "none",), "is not the folder of a run"),
        ((run,), f"measure it: gratis resume {run}"),
        ((run_folder("b"), "--no-images", "--out", run), "already holds"),
    ):
        code, (_, complaint) = within("report", *arguments)
        assert code == 2 and expected in complaint and complaint.count("\n") == 1


def test_a_page_without_images_needs_no_torch(run_folder, tmp_path):
    code = (
        f"import sys; sys.argv = ['gratis', 'report', {str(run_folder())!r}, '--no-images']\n"
        "from gratis import cli\n"
        "try: cli.main()\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert not {'torch', 'timm', 'lightning_fabric'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
