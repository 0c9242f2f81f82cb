"""Training depends on nothing that the caller has set in torch, and leaves it as it was."""

from contextlib import ExitStack

import pytest
import torch

from gratis.recipe import resolve
from gratis.run.timing import time_recipe
from gratis.run.training import train_only
from gratis.training import checkpoint_file

TINY = ["model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3", "train.epochs=0.5"]
CONTEXTS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default device": lambda: torch.device("meta"),
}


@pytest.fixture
def callers_dtype():
    torch.set_default_dtype(torch.float64)
    yield torch.float64
    torch.set_default_dtype(torch.float32)


def weights_of(folder):
    return checkpoint_file.read(folder / "checkpoint.safetensors")[0]


def test_training_does_not_depend_on_the_callers_state_or_change_it(tmp_path, callers_dtype):
    recipe = resolve("contrastive-scheduled", "digits", TINY)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    train_only(recipe, tmp_path / "changed dtype")
    for name, context in CONTEXTS.items():
        with ExitStack() as stack:
            stack.enter_context(context())
            train_only(recipe, tmp_path / name)
    time_recipe(recipe, seconds=0.1)
    assert torch.get_default_dtype() == callers_dtype
    assert torch.equal(torch.get_rng_state(), before)
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(8)
    train_only(recipe, tmp_path / "plain")
    expected = weights_of(tmp_path / "plain")
    for name in ("changed dtype", *CONTEXTS):
        found = weights_of(tmp_path / name)
        assert found.keys() == expected.keys()
        assert not [key for key in expected if not torch.equal(found[key], expected[key])]
