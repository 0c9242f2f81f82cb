"""Fixtures and settings that the tests of several packages share."""

import logging
import os
import shutil
import signal
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run, so that the result does not depend on chance.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")

# The networks of the tests are too small for several threads, and the tests run in several
# processes. Set before torch is imported; the commands that tests start inherit it.
os.environ["OMP_NUM_THREADS"] = "1"

# Background jobs and nohup ignore signals, and so would the commands that tests start.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, default)

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items):
    """Run files with slow tests first, so that several processes end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def messages():
    """Leave the library's logger as it was: commands that run in this process set it."""
    logger = logging.getLogger("gratis")
    level, handlers = logger.level, list(logger.handlers)
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers


@pytest.fixture(scope="session")
def tiny_imagenet(tmp_path_factory):
    """A folder with real Tiny ImageNet images.

    ``GRATIS_TINY_IMAGENET`` names a folder with the official tree. Without it, a small training set
    is made of the validation images beside the checkout; without those, the test is skipped.
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
    """Give every class a training set of links to half of its validation images."""
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
    """Run a gratis command in this process; return its exit code and its output."""
    from gratis import cli

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gratis", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, capsys.readouterr()

    return run


# Not for the session: other tests of a process may not run an event loop while it is open.
@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, driven by Playwright."""
    library = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with library.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()
