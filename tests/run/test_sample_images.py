"""What a run shows on a page, against its data, its sets and its verdicts."""

import shutil

import numpy as np
import pytest

from gratis.data import load
from gratis.errors import GratisError
from gratis.recipe import resolve
from gratis.results import Measurement
from gratis.run import evaluate_run, show, train
from gratis.run.folder import RunFolder
from gratis.validation_sets import perturbed_sets

TINY = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=4"),
    *("train.epochs=2", "evaluate.images=60", "evaluate.pgd_steps=2"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run with a denoiser; look, and copy, but leave it."""
    folder = tmp_path_factory.mktemp("gallery") / "run"
    train(resolve("contrastive-autoencoder", "digits", TINY), folder)
    return folder


@pytest.fixture(scope="module")
def showing(run):
    return show(run)


def test_one_measured_image_of_each_class_is_shown(run, showing):
    validation = load(RunFolder(run).recipe().data).validation
    measured = Measurement.load(run / "correct.safetensors").index
    assert showing.classes == ("0", "1", "2", "3")
    assert (showing.labels == validation.labels).all()
    assert [exhibit.label for exhibit in showing.exhibits] == ["0", "1", "2", "3"]
    for exhibit in showing.exhibits:
        of_class = measured[validation.labels[measured] == int(exhibit.label)]
        assert exhibit.index == of_class[0]
        assert (exhibit.pictures["clean"] == validation.images[exhibit.index]).all()


def test_the_geometric_picture_is_that_of_the_runs_set(run, showing):
    sets = perturbed_sets.load(run / "geometric", load(RunFolder(run).recipe().data).validation)
    for exhibit in showing.exhibits:
        assert (exhibit.pictures["geometric"] == sets.geometric[exhibit.index]).all()


def test_the_perturbation_is_what_the_attack_did_within_its_budget(run, showing):
    epsilon = 255 * RunFolder(run).recipe().evaluate.epsilon
    for exhibit in showing.exhibits:
        pictures = {name: levels.astype(float) for name, levels in exhibit.pictures.items()}
        delta = pictures["adversarial"] - pictures["clean"]
        assert 0 < np.abs(delta).max() <= epsilon + 0.5
        magnified = 127.5 + delta * (127.5 / epsilon)
        # One level of rounding in delta is so many levels in the picture, which rounds again.
        assert np.abs(magnified - pictures["perturbation"]).max() <= 0.5 * 127.5 / epsilon + 0.51
        assert exhibit.pictures["denoised"].shape == exhibit.pictures["clean"].shape
        assert (exhibit.pictures["denoised"] != exhibit.pictures["adversarial"]).any()


def test_the_guesses_agree_with_the_verdicts_of_the_evaluation(run, showing):
    measured = Measurement.load(run / "correct.safetensors")
    for exhibit in showing.exhibits:
        (place,) = np.flatnonzero(measured.index == exhibit.index)
        for kind, guess in exhibit.guesses.items():
            metric = {"adversarial": "pgd"}.get(kind, kind)
            right = guess.name == exhibit.label
            # An image that is wrong without an attack is not attacked: it counts as fooled.
            expected = measured.correct[metric][place]
            assert right == expected or (metric == "pgd" and not measured.correct["clean"][place])
            assert 1 / 4 <= guess.confidence <= 1
    assert set(showing.exhibits[0].guesses) == {"clean", "geometric", "adversarial"}


def test_the_attack_is_the_pgd_of_the_suite_whatever_else_it_holds(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    few = ["evaluate.images=12", "evaluate.suite=standard"]
    results = evaluate_run(tmp_path / "run", overrides=few)
    (held,) = (task.settings["attack"] for task in results.tasks if task.name == "pgd")
    again = show(tmp_path / "run")
    assert again.attack == held and held["restarts"] == 2
    measured = Measurement.load(tmp_path / "run" / "correct.safetensors")
    for exhibit in again.exhibits:
        (place,) = np.flatnonzero(measured.index == exhibit.index)
        if measured.correct["clean"][place]:
            right = exhibit.guesses["adversarial"].name == exhibit.label
            assert right == measured.correct["pgd"][place]


def test_a_suite_without_pgd_shows_the_tables(run, showing, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    evaluate_run(tmp_path / "run", overrides=["evaluate.suite=paper"])
    again = show(tmp_path / "run")
    assert again.attack == showing.attack and again.attack["steps"] == 2
    for exhibit, before in zip(again.exhibits, showing.exhibits, strict=True):
        assert (exhibit.pictures["adversarial"] == before.pictures["adversarial"]).all()


def test_a_model_without_a_denoiser_shows_no_denoised_picture(tmp_path):
    train(resolve("resnet18", "digits", [*TINY, "train.epochs=1"]), tmp_path / "run")
    showing = show(tmp_path / "run")
    assert "denoised" not in showing.exhibits[0].pictures


def test_a_budget_of_nothing_shows_a_grey_perturbation(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    evaluate_run(tmp_path / "run", overrides=["evaluate.epsilon=0"])
    for exhibit in show(tmp_path / "run").exhibits:
        assert (exhibit.pictures["perturbation"] == 128).all()


def test_what_is_missing_is_named(run, tmp_path):
    for name in ("checkpoint.safetensors", "correct.safetensors", "geometric", "recipe.yaml"):
        copy = tmp_path / name / "run"
        shutil.copytree(run, copy)
        (copy / name).rename(tmp_path / name / "elsewhere")
        with pytest.raises(GratisError, match=rf"{copy}"):
            show(copy)


def test_a_measurement_of_other_images_is_refused(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    measured = Measurement.load(run / "correct.safetensors")
    moved = Measurement(measured.index + 10_000, measured.correct)
    moved.save(tmp_path / "run" / "correct.safetensors")
    with pytest.raises(GratisError, match=r"correct\.safetensors: is of other images"):
        show(tmp_path / "run")
