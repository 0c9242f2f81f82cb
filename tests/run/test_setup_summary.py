"""What a run says before it trains, and the epochs that follow from the data."""

import numpy as np
import pytest

from gratis.data import Dataset, Split
from gratis.recipe import resolve
from gratis.run.dependent_settings import resolve_dependent
from gratis.run.setup_summary import setup_summary


def photos(images):
    split = Split(np.zeros((images, 64, 64, 3), np.uint8), np.arange(images) % 5)
    return Dataset("folder", split, split, tuple("abcde"), "x")


def resolved(images, *changes):
    data = ["data.name=folder", "data.root=photos"]
    return resolve_dependent(resolve("free", "photos-cpu", [*data, *changes]), photos(images))


@pytest.mark.parametrize(("images", "epochs"), [(450, 133), (1350, 44), (4000, 15), (100_000, 15)])
def test_few_images_get_more_epochs(images, epochs):
    assert resolved(images).train.epochs == epochs


def test_given_epochs_stay():
    assert resolved(450, "train.epochs=3").train.epochs == 3
    assert "20 s (--budget)" in setup_summary(resolved(450, "train.budget=20"), photos(450))[2]


def test_a_run_is_described_in_three_lines():
    data, model, training = setup_summary(resolved(450), photos(450))
    assert data.startswith("data: 450 training and 450 validation images of 5 classes, read at 64")
    assert "resnet18 with 32-64-128-256 channels, from scratch, at 64 px" in model
    assert "in 32-true (train.precision)" in model
    assert "133 epochs" in training and "adversary free at epsilon 4/255;" in training
    assert "evaluation at 4/255" in training


@pytest.mark.parametrize(
    ("name", "text"),
    [("contrastive-scheduled", "at epsilon 0 to 4/255"), ("resnet18", "adversary natural;")],
)
def test_schedules_and_rows_without_an_attack(name, text):
    recipe = resolve(name, "photos-cpu", ["data.root=photos"])
    assert text in setup_summary(recipe, photos(450))[2]


@pytest.mark.parametrize(
    ("start", "text"),
    [("runs/pets", "resnet18, from runs/pets,"), ("resnet18", "resnet18, from trained weights,")],
)
def test_a_hardened_model_is_named_once(start, text):
    changes = [f"starts_from={start}", "model.channels=null"]
    assert text in setup_summary(resolved(450, *changes), photos(450))[1]
