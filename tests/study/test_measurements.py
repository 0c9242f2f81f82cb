"""The measurements of the studies, on models whose values are known."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from gratis.data import Dataset, Split
from gratis.model import Classifier, DenoiserSettings, HeadSettings, ModelSettings
from gratis.study.measurements import MeasuredRun, measurement
from gratis.validation_sets import build, load

EPSILON, N = 0.1, 60


class Brightness(nn.Module):
    """Class 1 where an image is brighter than the middle; each image has the same gradient."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(20.0))
        self.denoiser = None

    def forward(self, images):
        above = self.weight * (images.mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack([-above, above], dim=1)


def dataset():
    labels = np.arange(N) % 2
    source = np.random.default_rng(0)
    levels = np.where(labels == 1, 0.62, 0.38)[:, None, None, None] + np.zeros((N, 8, 8, 3))
    noise = source.uniform(-0.02, 0.02, levels.shape)
    images = np.clip(255 * (levels + noise), 0, 255).astype(np.uint8)
    split = Split(images, labels.astype(np.int64))
    return Dataset("toy", split, split, ("dark", "bright"), "toy")


def run_of(model, tmp_path, epsilon=EPSILON):
    data = dataset()
    build(tmp_path / "sets", data.validation, False, model, epsilon, 0)
    sets = load(tmp_path / "sets", data.validation)
    return MeasuredRun(model.eval(), data, sets, epsilon, 0, 16, tmp_path)


def classifier(**denoiser):
    torch.manual_seed(0)
    settings = ModelSettings(
        channels=(4, 4, 4, 4),
        input_size=8,
        head=HeadSettings(width=8),
        denoiser=DenoiserSettings(width=2, **denoiser),
    )
    return Classifier(settings, 2)


@pytest.mark.parametrize("name", ["gaussian", "image_specific", "denoiser"])
def test_values_have_the_names_that_are_explained(name, tmp_path):
    run = run_of(classifier(), tmp_path)
    found = measurement(name).measure(run)
    assert set(found) == set(measurement(name).NAMES)
    assert found == measurement(name).measure(run)


def test_noise_hurts_the_more_the_stronger_it_is(tmp_path):
    found = measurement("gaussian").measure(run_of(Brightness(), tmp_path))
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert found["gaussian_0.02"] == 100


def test_deltas_that_depend_on_the_class_alone_are_not_specific_to_an_image(tmp_path):
    found = measurement("image_specific").measure(run_of(Brightness(), tmp_path, 0.2))
    assert found["delta_same"] == found["delta_same_class"] == 0
    # The delta of the other class moves an image away from the boundary.
    assert found["delta_other_class"] == found["delta_random"] == 100
    assert found["delta_universal"] == 50


def test_a_new_denoiser_with_a_skip_connection_is_the_identity(tmp_path):
    found = measurement("denoiser").measure(run_of(classifier(), tmp_path))
    assert found["changed_clean"] == found["changed_fgsm"] == 0
    assert found["removed_fgsm"] == found["removed_geometric"] == 0
    assert found["bypassed_transfer"] == found["transfer_accuracy"]


def test_a_perfect_denoiser_removes_everything(tmp_path):
    model = classifier().eval()
    run = dataclasses.replace(run_of(Brightness(), tmp_path), model=model)
    batches = itertools.cycle([images for _, images, _ in run.batches()])

    class Perfect(nn.Module):
        def forward(self, images):
            return next(batches)

    model.denoiser = Perfect()
    found = measurement("denoiser").measure(run)
    assert found["removed_fgsm"] == found["removed_geometric"] == 100
    assert found["changed_clean"] == 0 and found["changed_fgsm"] > 1
    assert model.denoiser is not None
