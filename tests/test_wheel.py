"""The built wheel works in a clean environment, outside the repository."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "gratis"
TINY = [
    *("train.epochs=0.1", "evaluate.suite=paper", "evaluate.images=20"),
    "evaluate.pgd_steps=1",
    *("model.channels=[8,8,8,8]", "model.head.width=16"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """A virtual environment with the wheel; the dependencies are those of this interpreter."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # The paths follow the environment's own, so that the wheel comes first. Python does not read
    # the .pth files in them, such as that of an editable installation.
    others = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    (packages / "dependencies.pth").write_text("\n".join(others))
    return folder


@pytest.fixture
def run(environment, tmp_path):
    """Run a command of the environment's Python in an empty folder."""
    # Without PYTHONPATH, which may lead to the source tree.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments):
        command = [environment / "bin" / "python", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=kept, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {Path(name) for name in archive.namelist()}
    files = (path for path in PACKAGE.rglob("*") if path.is_file())
    expected = {
        path.relative_to(PACKAGE.parent) for path in files if "__pycache__" not in path.parts
    }
    assert {Path("gratis/py.typed"), Path("gratis/recipes/free.yaml")} <= expected
    assert {path for path in packed if path.parts[0] == "gratis"} == expected
    (metadata,) = {path.parts[0] for path in packed} - {"gratis"}
    assert Path(metadata, "entry_points.txt") in packed


@pytest.mark.slow
def test_installed_package_trains_and_reports_outside_the_repository(run, environment, tmp_path):
    where = run("-c", "import gratis; print(gratis.__file__)").strip()
    assert Path(where).is_relative_to(environment)
    run("-m", "gratis.cli", "train", "free", "--out", "run", *TINY)
    run("-m", "gratis.cli", "report", "run", "--out", "page")
    assert (tmp_path / "run" / "results.json").is_file()
    assert "<html" in (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
