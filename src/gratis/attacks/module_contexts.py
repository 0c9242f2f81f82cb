"""Contexts that prepare a module for an attack, and leave it as it was."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Hold ``module`` in evaluation mode with constant parameters while the block runs.

    Afterwards, also after an exception, every submodule is in the mode it had, and every
    parameter requires a gradient if it did before.
    """
    # Programs that torch.jit.freeze made have no mode.
    modes = [(part, part.training) for part in module.modules() if hasattr(part, "training")]
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        with suppress(NotImplementedError):
            # A program of torch.export has the mode that it was exported in.
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
    """Keep the running statistics of batch norm constant while the block runs.

    Modes do not change: a layer in training mode still normalises by its batch, but its running
    mean, its running variance and its count of batches stay. Training uses this for its extra
    attack passes.
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
def channels_last(module: nn.Module) -> Iterator[None]:
    """Hold the weights of convolutions in channels-last memory format while the block runs.

    Convolutions of channels-last images are faster with such weights. Afterwards, also after an
    exception, every parameter and buffer has the storage it had before. While the block runs, the
    converted tensors are in memory twice.
    """
    tensors = [*module.parameters(), *module.buffers()]
    before = [(tensor, tensor.data) for tensor in tensors if _is_converted(tensor)]
    try:
        for tensor, data in before:
            tensor.data = data.contiguous(memory_format=torch.channels_last)
        yield
    finally:
        for tensor, data in before:
            tensor.data = data


def _is_converted(tensor: Tensor) -> bool:
    if is_lazy(tensor) or tensor.layout is not torch.strided or tensor.dim() != 4:
        return False
    if type(tensor.data) is not Tensor:  # Quantised or distributed tensors stay as they are.
        return False
    return not tensor.is_contiguous(memory_format=torch.channels_last)
