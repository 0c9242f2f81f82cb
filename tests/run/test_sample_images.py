"""The sample images of a run, against its data, its perturbed sets and its measurement."""

import numpy as np
import pytest
import torch
from torch import nn

from gratis.data import load
from gratis.recipe import resolve
from gratis.results import Measurement, SampleAttack, SampleImages
from gratis.run import evaluate_run, train
from gratis.run.folder import RunFolder
from gratis.run.sample_images import sample_images
from gratis.validation_sets import perturbed_sets

TINY = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=4"),
    *("train.epochs=2", "evaluate.images=60", "evaluate.pgd_steps=2"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run with a denoiser, which tests must not change."""
    folder = tmp_path_factory.mktemp("gallery") / "run"
    train(resolve("contrastive-autoencoder", "digits", TINY), folder)
    return folder


def read(run):
    return SampleImages.load(run / "evaluation" / "sample_images.safetensors")


@pytest.fixture(scope="module")
def samples(run):
    return read(run)


def test_one_measured_image_of_each_class_is_shown(run, samples):
    validation = load(RunFolder(run).recipe().data).validation
    measured = Measurement.load(run / "correct.safetensors").index
    assert samples.classes == ("0", "1", "2", "3")
    assert (samples.labels == validation.labels).all()
    assert [image.label for image in samples.images] == ["0", "1", "2", "3"]
    for image in samples.images:
        of_class = measured[validation.labels[measured] == int(image.label)]
        assert image.index == of_class[0]
        assert (image.pictures["clean"] == validation.images[image.index]).all()


def test_the_geometric_picture_is_that_of_the_runs_set(run, samples):
    sets = perturbed_sets.load(run / "geometric", load(RunFolder(run).recipe().data).validation)
    for image in samples.images:
        assert (image.pictures["geometric"] == sets.geometric[image.index]).all()


def test_the_perturbation_is_what_the_attack_did_within_epsilon(run, samples):
    epsilon = 255 * RunFolder(run).recipe().evaluate.epsilon
    for image in samples.images:
        pictures = {name: levels.astype(float) for name, levels in image.pictures.items()}
        delta = pictures["adversarial"] - pictures["clean"]
        assert 0 < np.abs(delta).max() <= epsilon + 0.5
        magnified = 127.5 + delta * (127.5 / epsilon)
        # One level of rounding in delta is so many levels in the picture, which rounds again.
        assert np.abs(magnified - pictures["perturbation"]).max() <= 0.5 * 127.5 / epsilon + 0.51
        assert image.pictures["denoised"].shape == image.pictures["clean"].shape
        assert (image.pictures["denoised"] != image.pictures["adversarial"]).any()


def test_the_attack_grows_through_epsilon_and_stays_within_it(run, samples):
    epsilon = RunFolder(run).recipe().evaluate.epsilon
    for image in samples.images:
        steps = image.at_epsilons
        assert [step.epsilon for step in steps] == pytest.approx(
            [times * epsilon for times in (0, 0.25, 0.5, 1, 2)]
        )
        changes = [
            np.abs(step.picture.astype(float) - image.pictures["clean"]).max() for step in steps
        ]
        assert changes == sorted(changes) and changes[0] == 0 < changes[1]
        for step, change in zip(steps, changes, strict=True):
            assert change <= 255 * step.epsilon + 0.5
        assert (steps[3].picture == image.pictures["adversarial"]).all()
        assert steps[3].prediction == image.predictions["adversarial"]
        assert steps[0].prediction == image.predictions["clean"]


def test_the_predictions_agree_with_the_outcomes_of_the_evaluation(run, samples):
    measured = Measurement.load(run / "correct.safetensors")
    for image in samples.images:
        (place,) = np.flatnonzero(measured.index == image.index)
        for kind, prediction in image.predictions.items():
            metric = {"adversarial": "pgd"}.get(kind, kind)
            right = prediction.name == image.label
            # An image that is wrong without an attack counts as fooled.
            expected = measured.correct[metric][place]
            assert right == expected or (metric == "pgd" and not measured.correct["clean"][place])
            assert 1 / 4 <= prediction.confidence <= 1
    assert set(samples.images[0].predictions) == {"clean", "geometric", "adversarial"}


def test_the_attack_is_the_pgd_of_the_suite_whatever_else_it_holds(run, tmp_path):
    few = ["evaluate.images=12", "evaluate.suite=standard"]
    results = evaluate_run(run, overrides=few, out=tmp_path / "run")
    (settings,) = (task.settings["attack"] for task in results.tasks if task.name == "pgd")
    again = read(tmp_path / "run")
    assert again.attack == SampleAttack.model_validate(settings) and again.attack.restarts == 2
    measured = Measurement.load(tmp_path / "run" / "correct.safetensors")
    for image in again.images:
        (place,) = np.flatnonzero(measured.index == image.index)
        if measured.correct["clean"][place]:
            right = image.predictions["adversarial"].name == image.label
            assert right == measured.correct["pgd"][place]


def test_a_suite_without_pgd_shows_that_of_the_table(run, samples, tmp_path):
    evaluate_run(run, overrides=["evaluate.suite=paper"], out=tmp_path / "run")
    again = read(tmp_path / "run")
    assert again.attack == samples.attack and again.attack.steps == 2
    for image, before in zip(again.images, samples.images, strict=True):
        assert (image.pictures["adversarial"] == before.pictures["adversarial"]).all()


def test_a_model_without_a_denoiser_shows_no_denoised_picture(tmp_path):
    train(resolve("resnet18", "digits", [*TINY, "train.epochs=1"]), tmp_path / "run")
    samples = read(tmp_path / "run")
    assert "denoised" not in samples.images[0].pictures


def test_an_epsilon_of_zero_shows_a_grey_perturbation(run, tmp_path):
    evaluate_run(run, overrides=["evaluate.epsilon=0"], out=tmp_path / "run")
    images = read(tmp_path / "run").images
    assert images and all((image.pictures["perturbation"] == 128).all() for image in images)


class WithoutGradient(nn.Module):
    def forward(self, images):
        with torch.no_grad():
            return images.flatten(1)[:, :4]


def test_a_model_without_gradients_has_no_adversarial_picture(run):
    recipe = RunFolder(run).recipe()
    dataset = load(recipe.data)
    sets = perturbed_sets.load(run / "geometric", dataset.validation)
    measured = np.arange(len(dataset.validation))
    samples = sample_images(WithoutGradient(), dataset, sets, recipe.evaluate, 0, measured)
    assert samples.attack is None
    assert {tuple(image.pictures) for image in samples.images} == {("clean", "geometric")}


def test_a_model_is_left_as_it_was(run):
    recipe = RunFolder(run).recipe()
    dataset = load(recipe.data)
    sets = perturbed_sets.load(run / "geometric", dataset.validation)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(3 * dataset.size**2, 4)).train()
    sample_images(model, dataset, sets, recipe.evaluate, 0, np.arange(60))
    assert model.training and model[1].training and model[2].weight.requires_grad
    assert model[2].weight.grad is None
