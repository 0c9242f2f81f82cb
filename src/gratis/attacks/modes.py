"""Leave no trace: run a model for an attack, then put it, and torch, back as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Hold ``module`` in evaluation mode with constant parameters while the block runs.

    Afterwards, also after an exception, every submodule is in the mode it had, and every
    parameter needs a gradient if it did before.
    """
    modes = [(part, part.training) for part in module.modules()]
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        module.eval()
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for part, training in modes:
            part.training = training
        for parameter in trained:
            parameter.requires_grad_(True)


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Keep batch norm's running statistics as they are while the block runs.

    Modes stay: a layer in training mode still normalises by its batch, but neither its running
    mean and variance nor its count of batches moves. For the extra attack passes of training.
    """
    # In training mode, a layer that does not track reads and writes no statistics at all.
    layers = [
        part
        for part in module.modules()
        if isinstance(part, _BatchNorm) and part.training and part.track_running_stats
    ]
    try:
        for layer in layers:
            layer.track_running_stats = False
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute on ``device`` in plain float32 while the block runs: no autocast and no TF32."""
    products = torch.get_float32_matmul_precision()
    convolutions = torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions
