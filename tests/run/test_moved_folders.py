"""Data and folders that moved, runs without a step, and what a newer version wrote."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from gratis.errors import GratisError
from gratis.locks import locked
from gratis.model.functions import from_function
from gratis.recipe import resolve
from gratis.run import RunFolder, evaluate_run, reproduce, resume, rows_of, train
from gratis.run.loading import load_once
from gratis.training import checkpoint_file

TINY = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "train.epochs=1"),
    *("train.held_out_per_class=1", "evaluate.images=20", "evaluate.pgd_steps=1"),
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "photos"
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for number in range(12):
            image = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(image).save(root / name / f"{number}.png")
    return root


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GRATIS_CACHE", str(tmp_path / "cache"))


def test_a_moved_reproduction_finds_its_sets_beside_it(tmp_path):
    baseline, rows = rows_of("digits", ["resnet18"], [*TINY, "data.classes=3"])
    reproduce(baseline, rows, tmp_path / "out", 1)
    before = json.loads((tmp_path / "out/runs/resnet18-seed0/results.json").read_text())
    (tmp_path / "out").rename(tmp_path / "moved")
    run = tmp_path / "moved" / "runs" / "resnet18-seed0"
    assert RunFolder(run).sets_note.sets() == tmp_path / "moved" / "perturbed"
    assert evaluate_run(run).transfer == before["transfer"] is not None
    again = reproduce(baseline, rows, tmp_path / "moved", 1)
    assert [result.transfer for result in again] == [before["transfer"]]
    # Sets of another place stay named as they were.
    shutil.copytree(tmp_path / "moved" / "perturbed", tmp_path / "sets")
    RunFolder(run).sets_note.write(tmp_path / "sets")
    run.rename(tmp_path / "alone")
    assert RunFolder(tmp_path / "alone").sets_note.sets() == tmp_path / "sets"


def test_measured_runs_whose_checkpoints_were_deleted_stay_finished(tmp_path):
    baseline, rows = rows_of("digits", ["resnet18", "free"], [*TINY, "data.classes=3"])
    before = reproduce(baseline, rows, tmp_path, 1)
    for name in ("resnet18-seed0", "free-seed0"):
        run = tmp_path / "runs" / name
        for file in run.glob("checkpoint*"):
            file.unlink()
        shutil.rmtree(run / "evaluation")
    files = sorted(tmp_path.rglob("*"))
    assert reproduce(baseline, rows, tmp_path, 1) == before
    assert sorted(tmp_path.rglob("*")) == files
    changed, rows = rows_of("digits", ["free"], [*TINY, "data.classes=3", "evaluate.epsilon=0.1"])
    with pytest.raises(GratisError, match=r"checkpoint.safetensors: no such checkpoint"):
        reproduce(changed, rows, tmp_path, 1)


def test_moved_data_is_named_anew(photos, tmp_path, monkeypatch):
    old = shutil.copytree(photos, tmp_path / "old")
    changes = [*TINY, "data.name=folder", f"data.root={old}", "data.val_fraction=0.5"]
    train(resolve("free", "digits", changes), tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    old.rename(tmp_path / "new")
    load_once.cache_clear()
    with pytest.raises(GratisError, match="old"):
        resume(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    from gratis import cli

    monkeypatch.setattr("sys.argv", ["gratis", "resume", "run", "--data-root", "new"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    assert RunFolder(tmp_path / "run").recipe().data.root == tmp_path / "new"
    assert resume(tmp_path / "run").n == 12


def test_a_run_without_a_step_is_an_error(tmp_path):
    changes = [*TINY, "data.classes=3", "train.epochs=0.001"]
    with pytest.raises(GratisError, match=r"train\.epochs: 0\.001 is less than one step, which"):
        train(resolve("free", "digits", changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_event_of_another_version_is_named(tmp_path):
    recipe = resolve("free", "digits", [*TINY, "data.classes=3"])
    train(recipe, tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.safetensors"
    tensors, metadata = checkpoint_file.read(path)
    position = json.loads(metadata["position"])
    for name, event in (("unknown", {"kind": "teleport\x1b"}), ("damaged", {"kind": "rollback"})):
        changed = json.dumps(position | {"events": [event], "of_a_newer_version": 1})
        checkpoint_file.write(path, tensors, metadata | {"position": changed})
        with pytest.raises(GratisError) as found:
            evaluate_run(tmp_path / "run")
        unknown = "has an event of another version of gratis ('teleport\\\\x1b'); continue with"
        assert (unknown in str(found.value)) == (name == "unknown"), found.value
        assert ("is damaged" in str(found.value)) == (name == "damaged")


MODEL = """
import torch
import in_both_places
from {beside} import classes
try:
    import a_package_that_nobody_has
except ImportError:
    pass

def build():
    return torch.nn.Linear(3, classes)
"""


def test_the_current_folder_is_searched_for_the_named_module_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trap = "raise SystemExit('a module of the current folder was run')"
    (tmp_path / "named_here.py").write_text(MODEL.format(beside="beside_it"))
    (tmp_path / "beside_it.py").write_text("import optional_user\nclasses = 7")
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "optional_user.py").write_text(
        "try:\n    import optional_package\nexcept ImportError:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "library")
    (tmp_path / "optional_package.py").write_text(trap)
    # Where another place has a module of that name, that one is imported.
    (tmp_path / "library" / "in_both_places.py").touch()
    (tmp_path / "in_both_places.py").write_text(trap)
    assert from_function("named_here:build").out_features == 7
    with pytest.raises(GratisError, match="No module named 'nowhere_at_all'"):
        from_function("nowhere_at_all:build")


@pytest.mark.parametrize("number", ["ENOSYS", "EOPNOTSUPP", "ENOLCK"])
def test_a_file_system_without_locks_is_named(number, tmp_path, monkeypatch, caplog):
    import errno

    from filelock import FileLock

    def refused(*_, **__):
        raise OSError(getattr(errno, number), "no locks")

    monkeypatch.setattr(FileLock, "acquire", refused)
    with locked(tmp_path / "run"):
        pass
    assert "this file system has no locks; make sure that no other process" in caplog.text


def test_a_folder_whose_name_is_no_text_is_named():
    import os
    from pathlib import Path

    with pytest.raises(GratisError, match=r"caf\\udce9: is not UTF-8; rename it"):
        RunFolder(Path(os.fsdecode(b"caf\xe9")))
