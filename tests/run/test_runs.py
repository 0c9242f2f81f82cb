"""Runs from recipe to results, within this process: what a folder holds, refuses and remembers."""

import json
import sys
from contextlib import nullcontext
from dataclasses import replace

import pytest

from gratis.data.info import DataInfo
from gratis.errors import GratisError, Interrupted
from gratis.recipe import resolve, resolve_rows
from gratis.results import METRICS
from gratis.run import (
    build_sets,
    evaluate_run,
    evaluation,
    fitting,
    loading,
    reproduce,
    resume,
    rows_of,
    train,
    training,
)
from gratis.run.folder import RunFolder
from gratis.run.reproduction import run_path
from gratis.validation_sets import perturbed_sets

TINY = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3"),
    *("train.epochs=1", "evaluate.images=40", "evaluate.pgd_steps=2"),
]
TRANSFER = ("transfer", "fgsm_transfer")


@pytest.fixture
def measured(monkeypatch):
    """Return the list of the folders that were measured from now on."""
    folders = []

    def evaluate(path, *arguments):
        folders.append(path)
        return evaluation.measure_run(path, *arguments)

    monkeypatch.setattr(training, "measure_run", evaluate)
    return folders


def recipe(name="resnet18", *changes):
    return resolve(name, "digits", [*TINY, *changes])


def files(folder):
    """Return what is below a folder, with everything's content."""
    paths = sorted(folder.rglob("*"))
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


def interrupted(monkeypatch, path, *changes):
    """Leave an unfinished run in ``path``: stopped after its first batch."""
    left = iter([False])
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "stopping", lambda: nullcontext(lambda: next(left, True)))
        with pytest.raises(Interrupted, match=rf"gratis resume {path}") as stop:
            train(recipe("free", *changes), path)
    assert stop.value.exit_code == 130


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished baseline in its folder, and the sets from it; look, and copy, but leave them."""
    folder = tmp_path_factory.mktemp("finished")
    train(recipe(), folder / "run")
    build_sets(folder / "run", folder / "sets")
    return folder / "run", folder / "sets"


# What is refused leaves nothing behind


def test_a_wrong_backbone_leaves_no_folder_and_the_corrected_command_works(tmp_path):
    run = tmp_path / "runs" / "mine"
    with pytest.raises(GratisError, match="resnet81"):
        train(recipe("resnet18", "model.backbone=resnet81"), run)
    assert files(tmp_path) == {}
    train(recipe(), run)
    assert {"recipe.yaml", "checkpoint.safetensors", "metrics.jsonl", "results.json"} <= {
        path.name for path in run.iterdir()
    }


def test_wrong_sets_are_refused_before_training_and_leave_nothing(tmp_path):
    with pytest.raises(GratisError, match="nowhere"):
        train(recipe(), tmp_path / "run", tmp_path / "nowhere")
    assert files(tmp_path) == {}


def test_an_unusable_folder_is_refused_before_data_is_loaded(tmp_path, monkeypatch):
    def load(settings):
        raise AssertionError("loaded")

    monkeypatch.setattr(fitting, "load_once", load)
    (tmp_path / "file").write_text("mine")
    for run in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(GratisError, match=f"{run}: cannot be written"):
            train(recipe(), run)
    baseline, rows = rows_of("digits", ["free"], TINY)
    with pytest.raises(GratisError, match="cannot be written"):
        reproduce(baseline, rows, tmp_path / "file" / "out", 1)
    assert files(tmp_path) == {tmp_path / "file": b"mine"}


def test_wrong_data_leave_nothing_behind(tmp_path):
    with pytest.raises(GratisError, match="nowhere"):
        train(
            recipe("resnet18", "data.name=folder", "data.root=/nowhere"),
            tmp_path / "runs" / "mine",
        )
    assert files(tmp_path) == {}


# What a finished run remembers


def test_a_run_is_measured_anew_when_sets_come_and_keeps_them(finished, measured, tmp_path):
    _, sets = finished
    run, free = tmp_path / "run", recipe("free")
    alone = train(free, run)
    assert [getattr(alone, metric) for metric in TRANSFER] == [None, None]
    trained = (run / "checkpoint.safetensors").read_bytes()
    assert train(free, run) == alone
    assert measured == [run]  # once: nothing changed

    on_sets = train(free, run, sets)
    assert all(getattr(on_sets, metric) is not None for metric in METRICS)
    for again in (train(free, run, sets), train(free, run), resume(run)):
        assert again == on_sets
    assert measured == [run] * 2
    assert evaluate_run(run) == on_sets
    shorter = evaluate_run(run, None, ["evaluate.images=20"])
    assert (shorter.n, shorter.transfer is None) == (20, False)
    assert resume(run) == train(free, run) == evaluate_run(run) == on_sets  # the record stays
    assert measured == [run] * 2
    assert (run / "checkpoint.safetensors").read_bytes() == trained


def test_a_run_without_a_number_of_images_is_measured_once(measured, tmp_path):
    whole = recipe("resnet18", "evaluate.images=null")
    first = train(whole, tmp_path / "run")
    assert first.n > 40
    assert train(whole, tmp_path / "run") == first
    assert len(measured) == 1


def test_changed_sets_are_measured_again(finished, measured, tmp_path):
    baseline, sets = finished
    run, free = tmp_path / "run", recipe("free")
    train(free, run, sets)
    other = recipe("resnet18", "seed=1")
    train(other, tmp_path / "other")
    build_sets(tmp_path / "other", tmp_path / "sets")
    measured.clear()
    elsewhere = train(free, run, tmp_path / "sets")
    assert measured == [run]
    assert RunFolder(run).sets_note.sets() == tmp_path / "sets"
    build_sets(baseline, tmp_path / "sets")  # other sets in the same place
    assert train(free, run).pgd == elsewhere.pgd
    assert measured == [run] * 2


def test_wrong_sets_are_not_remembered(finished, tmp_path):
    _, sets = finished
    run, free = tmp_path / "run", recipe("free")
    first = train(free, run, sets)
    before = files(run)
    for measure in (lambda wrong: evaluate_run(run, wrong), lambda wrong: train(free, run, wrong)):
        with pytest.raises(GratisError, match="nowhere"):
            measure(tmp_path / "nowhere")
    assert files(run) == before
    assert resume(run) == first


def test_sets_that_are_gone_are_named(finished, tmp_path):
    run = tmp_path / "run"
    train(recipe("free"), run)
    build_sets(finished[0], tmp_path / "sets")
    evaluate_run(run, tmp_path / "sets")
    (tmp_path / "sets").rename(tmp_path / "moved")
    with pytest.raises(GratisError, match=r"sets are gone; name others with --sets"):
        evaluate_run(run)
    assert evaluate_run(run, tmp_path / "moved").transfer is not None
    (run / "sets.json").write_text("[]")
    with pytest.raises(GratisError, match=r"sets\.json: is damaged"):
        resume(run)


# What a folder refuses


def test_an_unfinished_run_is_refused_until_it_is_finished(monkeypatch, tmp_path):
    run = tmp_path / "run"
    interrupted(monkeypatch, run)
    for use in (lambda: evaluate_run(run), lambda: build_sets(run, tmp_path / "sets")):
        with pytest.raises(GratisError, match=f"unfinished run; finish it: gratis resume {run}"):
            use()
    assert not (tmp_path / "sets").exists()
    assert not (run / "results.json").exists()
    results = train(recipe("free"), run)
    assert results.epochs == pytest.approx(1, abs=0.1)
    undisturbed = train(recipe("free"), tmp_path / "undisturbed")
    changing = {"seconds": 0}
    assert results.model_copy(update=changing) == undisturbed.model_copy(update=changing)
    evaluate_run(run)
    build_sets(run, tmp_path / "sets")


@pytest.mark.parametrize("change", ["train.epochs=2", "seed=1", "data.classes=4", "adversary=free"])
def test_another_recipe_in_the_folder_is_refused(change, finished):
    run, _ = finished
    before = files(run)
    with pytest.raises(GratisError, match=f"{run}: holds a run of another recipe"):
        train(recipe("resnet18", change), run)
    assert files(run) == before


def test_another_name_or_title_is_no_other_recipe(finished, measured):
    run, _ = finished
    train(recipe("resnet18", "train.log_every_steps=3"), run)
    assert not measured


def test_other_data_are_refused_even_where_the_run_is_finished(finished, monkeypatch):
    run, _ = finished
    before = files(run)

    def load(settings):
        return replace(loading.load(settings), fingerprint="others")

    for module in (fitting, loading):
        monkeypatch.setattr(module, "load_once", load)
    for use in (
        lambda: train(recipe(), run),
        lambda: resume(run),
        lambda: evaluate_run(run),
        lambda: build_sets(run, run / "sets"),
    ):
        with pytest.raises(GratisError, match="another recipe or data set"):
            use()
    assert files(run) == before


# All rows


def test_reproduce_makes_the_sets_anew_when_the_baseline_is_another(measured, tmp_path):
    baseline, rows = rows_of("digits", ["resnet18", "free"], TINY)
    assert baseline.name == "resnet18" and baseline.seed == 0
    first = reproduce(baseline, rows, tmp_path, 1)
    manifest = tmp_path / "perturbed" / perturbed_sets.MANIFEST
    made = manifest.read_text()
    assert len(measured) == 2
    assert reproduce(baseline, rows, tmp_path, 1) == first
    assert (len(measured), manifest.read_text()) == (2, made)

    # As if trained anew on another machine: the same recipe, but not the same weights.
    path = run_path(tmp_path, baseline)
    for left in path.iterdir():
        if left.is_file():  # what was found under the old weights stays, and must not be used
            left.unlink()
    other = baseline.model_copy(update={"seed": 5})
    identity = baseline.identity(DataInfo.of(loading.load_once(baseline.data)))
    trainer, monitor = fitting.build_trainer(other, loading.load_once(other.data))
    assert fitting.fit(trainer, path, identity, monitor=monitor)
    again = reproduce(baseline, rows, tmp_path, 1)
    hashes = [json.loads(text)["baseline"] for text in (made, manifest.read_text())]
    assert hashes[0] != hashes[1]
    assert len(measured) == 4  # both rows, on the new sets
    assert again[1].pgd == first[1].pgd


def test_an_override_for_all_rows_leaves_those_without_the_part_alone(tmp_path):
    changes = [*TINY, "augment.rotation=30"]
    baseline, rows = rows_of("digits", ["resnet18", "augmented"], changes)
    reproduce(baseline, rows, tmp_path, 1)
    plain, augmented = (RunFolder(run_path(tmp_path, row)).recipe() for row in rows)
    assert plain.augment is None
    assert augmented.augment.rotation == 30
    assert plain == recipe()


def test_a_profile_without_a_baseline_is_refused(tmp_path):
    profile = tmp_path / "mine.yaml"
    baselines = [row.name for row in resolve_rows("digits") if row.baseline]
    profile.write_text(f"title: t\nleave_out: {baselines}\n")
    with pytest.raises(GratisError, match="needs one recipe with baseline: true, not 0"):
        rows_of(str(profile), [], [])


@pytest.mark.parametrize(
    "start", [train, lambda recipe, path: reproduce(recipe, [recipe], path, 1)]
)
def test_a_library_that_the_suite_lacks_is_missed_before_the_training(tmp_path, monkeypatch, start):
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    with pytest.raises(GratisError, match="needs pyautoattack; install it"):
        start(recipe("resnet18", "evaluate.suite=autoattack"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
