"""Fixtures and settings that the tests of several packages share."""

import copy
import logging
import os
import runpy
import shutil
import signal
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
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
NOISE = {}


def pytest_collection_modifyitems(items):
    """Run files with slow tests first, so that several processes end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def yaml_parsed_once():
    """Keep what a text of YAML holds: most tests read the same recipes and profiles again."""
    parse, known = yaml.load, {}

    def load(stream, Loader):
        if Loader.__module__ != "gratis.yaml_files":
            return parse(stream, Loader)
        if stream not in known:
            known[stream] = parse(stream, Loader)
        return copy.deepcopy(known[stream])

    yaml.load = load
    yield
    yaml.load = parse


@pytest.fixture(scope="module", autouse=True)
def noise_made_once(request):
    """Keep the geometric noise of images: a run on the digits takes a quarter of its time for it.

    It depends on its arguments alone, as the tests of the validation sets show, which make it anew.
    """
    if request.path.parent.name == "validation_sets":
        yield
        return
    from gratis.validation_sets import building

    def noisy(images, geometry, seed, first):
        key = (images.shape, images.tobytes(), geometry.model_dump_json(), seed, first)
        if key not in NOISE:
            NOISE[key] = geometric_noise(images, geometry, seed, first)
        return NOISE[key].copy()

    geometric_noise = building.noisy
    building.noisy = noisy
    yield
    building.noisy = geometric_noise


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


@pytest.fixture
def run_script(monkeypatch, capsys):
    """Run a file as ``python FILE ARGUMENTS`` does, in this process; return exit code and output.

    A process of its own would first import torch and timm again, for several seconds.
    """

    def run(path, *arguments):
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        monkeypatch.syspath_prepend(path.parent)
        code = None
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as stop:
            code = stop.code
        streams = capsys.readouterr()
        if isinstance(code, str):  # as Python prints it when it ends
            return 1, streams._replace(err=f"{streams.err}{code}\n")
        return code or 0, streams

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
