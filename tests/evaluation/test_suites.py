from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from gratis.data.dataset import Split
from gratis.errors import GratisError
from gratis.evaluation import EvaluateSettings, measure
from gratis.evaluation.measure import evenly_spaced
from gratis.evaluation.suites import curve_to
from gratis.results import METRICS, Measurement
from gratis.validation_sets import PerturbedSets
from gratis.validation_sets.geometric import Geometry
from gratis.validation_sets.manifest import Manifest

# Grey images, bright (class 1) or dark (class 0). Within an epsilon of 8 levels, an attack can move
# those within 8 levels of the middle across it. The last image has the wrong label.
LEVELS = np.array([20, 90, 124, 126, 129, 133, 140, 200, 250, 30])
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])


class Threshold(nn.Module):
    """Tells bright images from dark ones, and is correct on every grey image."""

    def __init__(self, wrapped=False):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([-4.0, 4.0]))
        self.dropout = nn.Dropout(0.9)
        self.wrapped = wrapped

    def forward(self, images):
        brightness = images.mean((1, 2, 3)) - 127.5 / 255
        logits = self.dropout(brightness[:, None] * self.weight)
        return SimpleNamespace(logits=logits) if self.wrapped else logits


def grey(levels):
    return np.broadcast_to(np.uint8(levels)[:, None, None, None], (len(levels), 6, 6, 3)).copy()


def perturbed(geometric, transfer=None):
    names = ["geometric", "labels"] + ["transfer", "fgsm_transfer"] * (transfer is not None)
    manifest = Manifest(
        seed=0,
        epsilon=8 / 255,
        geometry=Geometry(),
        n=len(geometric),
        shape=(6, 6, 3),
        split="",
        baseline=None if transfer is None else "b",
        device="cpu",
        versions={},
        files=dict.fromkeys(names, ""),
    )
    return PerturbedSets(geometric, transfer, transfer, LABELS, manifest)


SPLIT = Split(grey(LEVELS), LABELS)
SETS = perturbed(grey(255 - LEVELS), grey(np.full(10, 200)))


@pytest.mark.parametrize("wrapped", [False, True])
def test_accuracies_known_by_construction(wrapped):
    found = measure(Threshold(wrapped), SPLIT, SETS, EvaluateSettings(), 0)
    assert found.accuracies == pytest.approx(
        {
            "clean": 0.9,
            "geometric": 0.1,  # inverted: only the image with the wrong label is correct
            "fgsm_transfer": 0.6,  # all bright
            "transfer": 0.6,
            "fgsm": 0.5,
            "pgd": 0.5,
        }
    )
    safe = [True, True, False, False, False, False, True, True, True, False]
    np.testing.assert_array_equal(found.correct["fgsm"], safe)
    np.testing.assert_array_equal(found.correct["pgd"], safe)


def test_epsilon_zero_changes_nothing():
    settings = EvaluateSettings(epsilon=0, pgd_steps=2)
    found = measure(Threshold(), SPLIT, perturbed(SPLIT.images), settings, 0)
    for metric in ("geometric", "fgsm", "pgd"):
        np.testing.assert_array_equal(found.correct[metric], found.correct["clean"])


@pytest.mark.parametrize("batch_size", [1, 3, 250])
def test_batch_size_changes_no_outcome(batch_size):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 8), nn.Tanh(), nn.Linear(8, 2))
    source = np.random.default_rng(0)
    split = Split(source.integers(0, 256, (10, 6, 6, 3), dtype=np.uint8), LABELS)

    def run(size):
        settings = EvaluateSettings(batch_size=size, pgd_steps=3, restarts=2)
        return measure(model, split, SETS, settings, 0)

    for metric, expected in run(4).correct.items():
        np.testing.assert_array_equal(run(batch_size).correct[metric], expected)


def test_absent_sets_are_left_out_and_the_model_is_left_as_it_was():
    model = Threshold().train()
    found = measure(model, SPLIT, perturbed(SPLIT.images), EvaluateSettings(pgd_steps=1), 0)
    assert set(found.correct) == {"clean", "geometric", "fgsm", "pgd", "pgd_margin", "robust"}
    assert tuple(found.accuracies) == METRICS and found.accuracies["transfer"] is None
    assert model.training and model.dropout.training
    assert model.weight.requires_grad and model.weight.grad is None


def test_a_subset_is_evenly_spaced():
    np.testing.assert_array_equal(evenly_spaced(10, 4), [0, 2, 5, 7])
    np.testing.assert_array_equal(evenly_spaced(3, 9), [0, 1, 2])
    np.testing.assert_array_equal(evenly_spaced(3, None), [0, 1, 2])
    found = measure(Threshold(), SPLIT, SETS, EvaluateSettings(images=4, pgd_steps=1), 0)
    np.testing.assert_array_equal(found.index, [0, 2, 5, 7])
    np.testing.assert_array_equal(found.correct["fgsm"], [True, False, False, True])
    np.testing.assert_array_equal(found.correct["transfer"], [False, False, True, True])


def test_a_model_that_is_always_wrong_is_not_attacked():
    labels = 1 - np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 0])
    found = measure(Threshold(), Split(SPLIT.images, labels), SETS, EvaluateSettings(), 0)
    assert found.accuracies["clean"] == found.accuracies["fgsm"] == found.accuracies["pgd"] == 0


def test_refuses_sets_of_another_size_or_epsilon():
    fewer = Split(SPLIT.images[:5], LABELS[:5])
    with pytest.raises(GratisError, match="10 images and the validation split 5"):
        measure(Threshold(), fewer, SETS, EvaluateSettings(), 0)
    with pytest.raises(GratisError, match="sets were made with"):
        measure(Threshold(), SPLIT, SETS, EvaluateSettings(epsilon="4/255"), 0)


@pytest.mark.parametrize("change", [{"epsilon": -1}, {"pgd_steps": 0}, {"images": 0}, {"eps": 1}])
def test_settings_refuse_the_impossible(change):
    with pytest.raises(ValidationError):
        EvaluateSettings(**change)


def test_settings_take_fractions():
    assert EvaluateSettings(epsilon="8/255").epsilon == float(Fraction(8, 255))


def test_measurement_round_trips(tmp_path):
    found = measure(Threshold(), SPLIT, SETS, EvaluateSettings(pgd_steps=1), 0)
    path = tmp_path / "correct.safetensors"
    found.save(path)
    again = Measurement.load(path)
    assert again.n == found.n and again.accuracies == found.accuracies
    np.testing.assert_array_equal(again.index, found.index)


def test_measurement_refuses_another_file(tmp_path):
    path = tmp_path / "correct.safetensors"
    with pytest.raises(GratisError, match="does not exist; evaluate the run"):
        Measurement.load(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(GratisError, match=r"not a measurement .*; evaluate the run again"):
        Measurement.load(path)
    Measurement(np.arange(3), {"clean": np.ones(2, dtype=bool)}).save(path)
    with pytest.raises(GratisError, match="not a measurement"):
        Measurement.load(path)


@pytest.mark.parametrize(
    ("epsilon", "further"),
    [
        (8, []),
        (16, []),
        (15.9999, []),
        (16.00001, []),
        (19, [19]),
        (38, [24, 32, 38]),
        (48, [24, 32, 40, 48]),
    ],
)
def test_the_curve_goes_as_far_as_epsilon(epsilon, further):
    curve = [round(255 * each, 6) for each in curve_to(epsilon / 255)]
    assert curve == [1, 2, 3, 4, 6, 8, 10, 12, 16, *further]
