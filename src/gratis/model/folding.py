"""Batch norm folded into convolutions: the same function of the images, for less arithmetic."""

import copy
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gratis.model.classifier import Output, logits_of

# Logits may differ by so much of their largest: rounding, and nothing else, is below it.
TOLERANCE = 1e-4


def folded(model: nn.Module, images: Tensor) -> nn.Module:
    """Return a copy of ``model`` without those batch norms that follow a convolution directly.

    In evaluation mode such a pair is one convolution. Which layers are pairs is seen from one
    pass, and the copy must then give the logits that the model gives.

    Args:
        model: in evaluation mode, with constant parameters; it is left as it is.
        images: (n, 3, height, width) in [0, 1], to look at the model with.

    Returns:
        The copy, with frozen parameters; ``model`` itself where nothing can be folded, it cannot
        be copied or run without its norms, or its logits are not the same every time.
    """
    # Whatever somebody's module says to being taken apart, we can do without.
    with suppress(Exception):
        copied = copy.deepcopy(model)
        apart = set(map(id, model.modules())).isdisjoint(map(id, copied.modules()))
        if apart and _fold(copied, images) and _agree(model, copied, images):
            return copied
    return model


def _fold(copied: nn.Module, images: Tensor) -> bool:
    """Fold what can be folded; return whether anything could."""
    copied.requires_grad_(False)
    pairs = _pairs(copied, images)
    for convolution, norm in pairs:
        _replace(copied, convolution, fuse_conv_bn_eval(convolution, norm))
        _replace(copied, norm, nn.Identity())
    copied.to(memory_format=torch.channels_last)
    return bool(pairs)


def _pairs(model: nn.Module, images: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Return every convolution whose output went into a batch norm, where each ran just once."""
    calls: list[tuple[nn.Module, Any, Any]] = []

    def note(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        calls.append((layer, inputs[0] if inputs else None, output))

    layers = [part for part in model.modules() if type(part) in (nn.Conv2d, nn.BatchNorm2d)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    _logits(model, images)
    for hook in hooks:
        hook.remove()
    ran = [layer for layer, _, _ in calls]
    made = {id(output): layer for layer, _, output in calls}
    return [
        (before, layer)
        for layer, given, _ in calls
        if isinstance(layer, nn.BatchNorm2d)
        and isinstance(before := made.get(id(given)), nn.Conv2d)
        and layer.running_mean is not None
        and ran.count(layer) == ran.count(before) == 1
    ]


def _replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for part in model.modules():
        for name, child in part.named_children():
            if child is old:
                setattr(part, name, new)


def _agree(model: nn.Module, copied: nn.Module, images: Tensor) -> bool:
    wanted, found = _logits(model, images), _logits(copied, images)
    off = (wanted - found).abs().max()
    return bool(off <= TOLERANCE * wanted.abs().max())


def _logits(model: nn.Module, images: Tensor) -> Tensor:
    output: Tensor | Output = model(images)
    return logits_of(output)
