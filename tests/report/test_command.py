"""The command ``gratis report``, on real runs and with bad input."""

import os
import shutil
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
    """A folder of two real runs, in the layout of ``gratis reproduce``."""
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
    assert html.count("<img ") == 3 * (4 + 5)  # and at five epsilons


def test_the_named_recipe_shows_its_images(out, within, tmp_path):
    runs = [out / "runs" / name for name in ("resnet18-seed0", "free-seed0")]
    assert within("report", *runs, "--show", "free", "--out", tmp_path / "page")[0] == 0
    html = (tmp_path / "page" / "report.html").read_text()
    assert html.count("<img ") == 3 * (4 + 5)
    code, (_, complaint) = within("report", *runs, "--show", "fre", "--out", tmp_path / "other")
    assert code == 2 and "did you mean 'free'" in complaint
    assert not (tmp_path / "other").exists()


def test_a_run_without_stored_images_shows_none_and_the_page_says_so(run_folder, within, tmp_path):
    run = run_folder()
    assert within("report", run, "--out", tmp_path / "page")[0] == 0
    for name in ("report.html", "report.md"):
        text = (tmp_path / "page" / name).read_text()
        assert "images/gallery" not in text and "<img " not in text
        assert "No classes and images, because none are stored" in text
    code, (_, complaint) = within("report", run, "--show", "free", "--out", tmp_path / "other")
    assert code == 2 and complaint.count("\n") == 1
    assert f"{run}: no sample images of 'free' are stored; evaluate it again" in complaint


def test_images_can_be_left_out(out, within, tmp_path):
    assert within("report", out, "--no-images", "--out", tmp_path / "page")[0] == 0
    html = (tmp_path / "page" / "report.html").read_text()
    assert "<img " not in html and "none are stored" not in html


def test_an_error_is_one_line(run_folder, within, tmp_path):
    run = run_folder()
    (run / "results.json").unlink()
    for arguments, expected in (
        ((tmp_path / "none",), "is not the folder of a run"),
        ((run,), f"measure it: gratis resume {run}"),
        ((run_folder("b"), "--out", run), "already holds"),
    ):
        code, (_, complaint) = within("report", *arguments)
        assert code == 2 and expected in complaint and complaint.count("\n") == 1


WITHOUT_TORCH = """
import sys
class Forbidden:
    def find_spec(self, name, *_):
        if name in ("torch", "timm", "lightning_fabric", "gratis.data", "gratis.model"):
            raise ImportError(f"{name} is not there")
sys.meta_path.insert(0, Forbidden())
sys.argv = ["gratis", "report", *sys.argv[1:]]
from gratis import cli
try:
    cli.main()
except SystemExit as stop:
    assert stop.code == 0
"""


def test_a_page_with_images_needs_no_torch_no_data_and_no_checkpoint(out, tmp_path):
    shutil.copytree(out / "runs", tmp_path / "runs")
    for run in (tmp_path / "runs").iterdir():
        (run / "checkpoint.safetensors").unlink()
        shutil.rmtree(run / "geometric")
    page = tmp_path / "page"
    command = [sys.executable, "-c", WITHOUT_TORCH, tmp_path, "--out", page]
    # An empty home has no data sets.
    empty = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | empty
    )
    assert done.returncode == 0, done.stderr
    html = (page / "report.html").read_text()
    assert "Images</h2>" in html and html.count("<img ") == 3 * (4 + 5)  # and at five epsilons
