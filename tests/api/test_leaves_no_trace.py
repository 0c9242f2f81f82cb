"""Calls of the library leave the process and the module as they were, whatever was set."""

import random
import sys
from contextlib import ExitStack

import numpy as np
import pytest
import torch

import digits_models
import gratis

FEW = {"epsilon": "38/255", "pgd_steps": 2, "images": 30}
CALLS = {
    "evaluate": lambda net, x, y: gratis.evaluate(net, x, y, suite="standard", **FEW).pgd,
    "attack": lambda net, x, y: gratis.attack(net, x[:30], y[:30], epsilon=0.1).sum().item(),
    "predict": lambda net, x, y: gratis.predict(net, x[:30])[0].confidence,
}


def state(net):
    """Return everything that must stay: of the module, of torch, of the process."""
    return {
        "modes": [part.training for part in net.modules()],
        "gradients": [(p.requires_grad, p.grad) for p in net.parameters()],
        "strides": [p.stride() for p in net.parameters()],
        "weights": [p.detach().clone().flatten().tolist() for p in net.parameters()],
        "addresses": [p.data_ptr() for p in net.parameters()],
        "hooks": [len(part._forward_hooks) for part in net.modules()],
        "torch generator": torch.get_rng_state().tolist(),
        "numpy generator": str(np.random.get_state()),
        "generator": random.getstate(),
        "threads": torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
        "default dtype": torch.get_default_dtype(),
        "gradients on": torch.is_grad_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "default device": torch.get_default_device(),
        "path": list(sys.path),
    }


@pytest.fixture
def net():
    net = digits_models.network()
    net.load_state_dict(digits_models.natural().state_dict())
    net.train()
    net[2].eval()
    net[0].weight.requires_grad_(False)
    return net


@pytest.fixture(scope="module")
def expected(images, labels):
    """The figure that each call gives where nothing was set."""
    return {name: call(digits_models.natural(), images, labels) for name, call in CALLS.items()}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "around", ["nothing", "no_grad", "inference_mode", "autocast", "double", "meta"]
)
def test_nothing_changes_and_the_figures_are_the_same(call, around, net, images, labels, expected):
    contexts = {
        "no_grad": torch.no_grad,
        "inference_mode": torch.inference_mode,
        "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
        "meta": lambda: torch.device("meta"),
    }
    with ExitStack() as stack:
        if around in contexts:
            stack.enter_context(contexts[around]())
        if around == "double":
            stack.callback(torch.set_default_dtype, torch.float32)
            torch.set_default_dtype(torch.float64)
        before = state(net)
        found = CALLS[call](net, images, labels)
        assert state(net) == before
    assert found == expected[call]


def test_runs_are_trained_loaded_and_evaluated_in_inference_mode(tmp_path, images, labels):
    tiny = ["model.channels=[8,8,8,8]", "model.head.width=16", "train.epochs=1"]
    few = [*tiny, "evaluate.images=20", "evaluate.pgd_steps=2"]
    expected = gratis.train("free", data="digits", out=tmp_path / "a", overrides=few)
    with torch.inference_mode():
        run = gratis.train("free", data="digits", out=tmp_path / "b", overrides=few)
        assert gratis.evaluate(run).pgd == expected.results().pgd
        model = gratis.load(run)
    samples = "evaluation/sample_images.safetensors"
    assert (run.path / samples).read_bytes() == (expected.path / samples).read_bytes()
    found = gratis.attack(model, images[:8], labels[:8], epsilon=0.1)
    assert torch.equal(
        found, gratis.attack(gratis.load(expected), images[:8], labels[:8], epsilon=0.1)
    )
