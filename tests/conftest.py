"""What several rooms' tests need."""

import os
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples every time: a test of a change must not depend on luck.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")

# The networks here are too small to share out, and the tests' two processes would only wait for
# each other's threads. Before torch is imported, and for the commands that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def tiny_imagenet(tmp_path_factory):
    """A folder with real Tiny ImageNet images: a small training set cut from the validation part.

    ``GRATIS_TINY_IMAGENET`` names a folder with the official tree; else the parts beside the
    checkout are used; else the tests that need real images are skipped.
    """
    part = ROOT.parent / "shared" / "tiny-imagenet" / "val.tar.xz"
    if "GRATIS_TINY_IMAGENET" in os.environ:
        return Path(os.environ["GRATIS_TINY_IMAGENET"])
    if not part.is_file():
        pytest.skip("no Tiny ImageNet: set GRATIS_TINY_IMAGENET to the folder that holds it")
    folder = tmp_path_factory.mktemp("tiny-imagenet")
    with tarfile.open(part) as archive:
        archive.extractall(folder, filter="data")
    _train_on_validation(folder / "tiny-imagenet-200")
    return folder


def _train_on_validation(root):
    """Give the first classes a training set: links to half of their validation images."""
    lines = (root / "val" / "val_annotations.txt").read_text().splitlines()
    labelled = [line.split("\t")[:2] for line in lines]
    wnids = (root / "wnids.txt").read_text().split()
    for wnid in wnids:
        images = root / "train" / wnid / "images"
        images.mkdir(parents=True)
        for name in [name for name, label in labelled if label == wnid][:25]:
            (images / f"{wnid}_{name}").symlink_to(root / "val" / "images" / name)


@pytest.fixture
def within(monkeypatch, capsys):
    """Run a command within this process; return its exit code and what it printed."""

    from gratis import cli

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gratis", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, capsys.readouterr()

    return run
