"""Odd arguments of the public functions: taken where they mean a number, else named in one line."""

import numpy as np
import pytest
import torch
from torch import nn

import gratis
from gratis.errors import GratisError

X = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(6) % 4
QUICK = {"suite": "table", "pgd_steps": 1}


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 4)).eval()


WRONG = {
    "predict": [
        ({"top": 0}, "top: needs a whole number of at least 1, not 0"),
        ({"top": "a"}, "top: needs a whole number of at least 1, not 'a'"),
        ({"top": 1.5}, "top: needs a whole number"),
        ({"top": True}, "top: needs a whole number"),
        ({"images": 5}, "images: needs a path, not 5"),
        ({"images": None}, "images: needs a path"),
        ({"images": [X.numpy()]}, "images: needs a path"),
        ({"images": 3 * X}, r"images: needs values in \[0, 1\]"),
        ({"images": (255 * X).byte()}, "images: needs a float tensor"),
        ({"images": X[:, :1]}, "Sequential: fails on images of 1x8x8"),
        ({"images": X[..., :5]}, r"resize inside the model, or use input_size$"),
        ({"model": None}, "model: needs a path"),
    ],
    "attack": [
        ({"batch_size": 0}, "batch_size: needs a whole number of at least 1, not 0"),
        ({"batch_size": "a"}, "batch_size: needs a whole number"),
        ({"labels": Y + 3}, "labels: 6 is not one of the model's classes, 0 to 3"),
        ({"labels": Y - 1}, "labels: -1 is not one of"),
        ({"labels": Y.tolist()}, "labels: needs an int64 tensor"),
        ({"labels": Y.int()}, r"labels: needs an int64 tensor .* not torch.int32 \(6,\)"),
        ({"indices": list(range(6))}, "indices: needs an int64 tensor"),
        ({"indices": Y.float()}, "indices: needs an int64 tensor"),
        ({"seed": "x"}, "seed: needs a whole number, not 'x'"),
        ({"seed": None}, "seed: needs a whole number"),
        ({"seed": 1.5}, "seed: needs a whole number"),
        ({"images": X.numpy()}, "images: needs a float tensor .* not ndarray"),
        ({"images": X.half()}, "Sequential: fails on images"),
        ({"attack": ["pgd"]}, r"attack: \['pgd'\] is unknown; choose from"),
        ({"model": lambda images: images}, "model: needs a torch.nn.Module, not function"),
        ({"epsilon": None}, "epsilon"),
    ],
    "evaluate": [
        ({"data": X[:0], "labels": Y[:0]}, r"images: needs shape .* with n > 0"),
        ({"batch_size": 0}, "batch_size: .* greater than or equal to 1"),
        ({"labels": Y + 3}, "labels: 6 is not below the number of classes, 4"),
        ({"seed": "x"}, "seed: needs a whole number, not 'x'"),
        ({"seed": 1.5}, "seed: needs a whole number"),
        ({"seed": True}, "seed: needs a whole number"),
        ({"out": 5}, "out: needs a path, not 5"),
        ({"out": ""}, "out: needs a path, not ''"),
        ({"sets": 5}, "sets: needs a path"),
        ({"model": 5}, "model: needs a path"),
        ({"model": "resnet18", "weights": 5}, "weights: needs a path"),
        ({"model": "resnet18", "input_size": "x"}, "input_size: needs a whole number"),
        ({"model": "resnet18", "classes": 0}, "classes: needs a whole number of at least 1"),
        ({"model": "nothing", "input_size": 3}, "trained with; leave out input_size$"),
        ({"suite": None}, "suite: input should be 'paper'"),
    ],
    "train": [
        ({"recipe": 5}, "recipe: needs a path"),
        ({"data": 5}, "data: needs a name"),
        ({"data": "digits", "data_root": "."}, "have no folder; leave out data_root$"),
        ({"data": "folder"}, 'needs a path; write data="folder:PATH"'),
        ({"out": 5}, "out: needs a path"),
        ({"profile": 5}, "profile: needs a path"),
        ({"budget": np.float32(-1)}, "train.budget: input should be greater than 0"),
        ({"budget": object()}, "train.budget: .* is not a value of a setting"),
        ({"overrides": "train.epochs=1"}, r"overrides: needs a list, such as \['train.epochs=1'\]"),
    ],
    "load": [
        ({"model": None}, "model: needs a path"),
        ({"model": "resnet18", "input_size": 0}, "input_size: needs a whole number of at least 1"),
        ({"model": "resnet18", "classes": "x"}, "classes: needs a whole number"),
    ],
}
GIVEN = {
    "predict": {"images": X},
    "attack": {"images": X, "labels": Y, "epsilon": 0.1},
    "evaluate": {"data": X, "labels": Y},
    "train": {"recipe": "free"},
    "load": {},
}
CASES = [(name, *case) for name, cases in WRONG.items() for case in cases]


@pytest.mark.parametrize(("name", "change", "message"), CASES)
def test_an_argument_that_means_nothing_is_named(name, change, message, net):
    given = GIVEN[name] | change
    if name not in ("train", "load"):
        given = {"model": net} | given
    with pytest.raises(GratisError, match=message) as refused:
        getattr(gratis, name)(**given)
    assert "\n" not in str(refused.value) and "--" not in str(refused.value)


def test_nothing_to_classify_or_attack_gives_nothing(net):
    assert gratis.predict(net, X[:0]) == gratis.predict(net, []) == []
    assert gratis.attack(net, X[:0], Y[:0], epsilon=0.1).shape == (0, 3, 8, 8)


@pytest.mark.parametrize(
    "kind", [np.float32, np.float64, torch.tensor], ids=lambda kind: kind.__name__
)
def test_numbers_of_numpy_and_torch_are_numbers(kind, net):
    expected = gratis.attack(net, X, Y, epsilon=0.125, steps=3, seed=2)
    found = gratis.attack(net, X, Y, epsilon=kind(0.125), steps=np.int64(3), seed=np.int64(2))
    assert torch.equal(found, expected)
    assert gratis.predict(net, X, top=np.int64(9), attack="pgd", epsilon=kind(0.125))
    results = gratis.evaluate(net, X, Y, epsilon=kind(0.125), seed=np.int64(1), **QUICK)
    assert results == gratis.evaluate(net, X, Y, epsilon=0.125, seed=1, **QUICK)


def test_numbers_of_numpy_are_settings_of_adversaries():
    free = gratis.FreeAT(replays=np.int64(2), epsilon=np.float32(0.125), gamma=np.float64(0.5))
    assert free.settings == gratis.FreeAT(replays=2, epsilon=0.125, gamma=0.5).settings


def test_a_command_in_an_error_stays_as_it_is(tmp_path, net):
    with pytest.raises(GratisError, match=r"gratis perturb RUN --out") as refused:
        gratis.evaluate(net, X, Y, sets=tmp_path)
    assert str(refused.value).count("--") == 1
