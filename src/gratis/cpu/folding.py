"""A model for attacks: the same function of the images, for less arithmetic."""

import copy
from contextlib import suppress
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gratis.cpu.packing import Packed, packable
from gratis.cpu.stem import Stem, quicken

Layer = TypeVar("Layer", bound=nn.Module)

# Logits may differ by so much of their largest: rounding, and nothing else, is below it.
TOLERANCE = 1e-4
# Gradients may differ by so much of their length: rounding tips a rectifier at its kink.
GRADIENT_TOLERANCE = 1e-2


def folded(model: nn.Module, images: Tensor) -> nn.Module:
    """Return a copy of ``model`` that costs attacks less.

    In evaluation mode a convolution and the batch norm that follows it directly are one
    convolution; which layers are such pairs is seen from one pass. On a CPU, convolutions of
    images get a quicker input gradient, and weights are laid out once for all passes where that
    can be done. The copy must then give the logits and the gradients that the model gives.

    Args:
        model: in evaluation mode, with constant parameters; it is left as it is.
        images: (n, 3, height, width) in [0, 1], to look at the model with.

    Returns:
        The copy, with frozen parameters; ``model`` itself where nothing can be changed, it cannot
        be copied or run without its norms, or its logits are not the same every time.
    """
    # Where weights cannot be laid out after all, the rest may still be done.
    for pack in (True, False) if any(map(packable, model.modules())) else (False,):
        copied = _lightened(model, images, pack)
        if copied is not None:
            return copied
    return model


def _lightened(model: nn.Module, images: Tensor, pack: bool) -> nn.Module | None:
    """Return a copy that differs and is the same function, if there can be one."""
    # Whatever somebody's module says to being taken apart, we can do without.
    with suppress(Exception):
        copied = copy.deepcopy(model)
        apart = set(map(id, model.modules())).isdisjoint(map(id, copied.modules()))
        if apart and _lighten(copied, images, pack) and _agree(model, copied, images):
            return copied
    return None


def _lighten(copied: nn.Module, images: Tensor, pack: bool) -> bool:
    """Change what can be changed; return whether anything could."""
    copied.requires_grad_(False)
    pairs = _pairs(copied, images)
    for convolution, norm in pairs:
        _replace(copied, convolution, fuse_conv_bn_eval(convolution, norm))
        _replace(copied, norm, _besides(norm))
    quickened = quicken(copied)
    copied.to(memory_format=torch.channels_last)
    packed = pack and _pack(copied, images)
    return bool(pairs) or quickened or packed


def _pack(copied: nn.Module, images: Tensor) -> bool:
    """Lay out the weights of all convolutions that can be; return whether any could."""
    layers = [part for part in copied.modules() if packable(part)]
    seen = {layer: given for layer, given, _ in _calls(copied, images, layers)}
    for layer, given in seen.items():
        _replace(copied, layer, Packed(layer, given))
    return bool(seen)


def _besides(norm: nn.Module) -> nn.Module:
    """Return what a layer does after normalising."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    return nn.Sequential(norm.get_submodule("drop"), norm.get_submodule("act"))


def _is_norm(layer: nn.Module) -> bool:
    """Return whether a layer is batch norm, or timm's, which brings its activation with it."""
    if type(layer) is nn.BatchNorm2d:
        return True
    return isinstance(layer, nn.BatchNorm2d) and hasattr(layer, "drop") and hasattr(layer, "act")


def _calls(model: nn.Module, images: Tensor, layers: list[Layer]) -> list[tuple[Layer, Any, Any]]:
    """Return which of ``layers`` run on images, in turn, on what, and with what result."""
    calls: list[tuple[Layer, Any, Any]] = []

    def note(layer: Any, inputs: tuple[Any, ...], output: Any) -> None:
        calls.append((layer, inputs[0] if inputs else None, output))

    hooks = [layer.register_forward_hook(note) for layer in layers]
    _logits(model, images)
    for hook in hooks:
        hook.remove()
    return calls


def _pairs(model: nn.Module, images: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Return every convolution whose output went into a batch norm, where each ran just once."""
    kinds = (nn.Conv2d, Stem)
    layers = [part for part in model.modules() if type(part) in kinds or _is_norm(part)]
    calls = _calls(model, images, layers)
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
    for part in list(model.modules()):
        for name, child in part.named_children():
            if child is old:
                setattr(part, name, new)


def _agree(model: nn.Module, copied: nn.Module, images: Tensor) -> bool:
    wanted, attack_model = _looked(model, images)
    found, other = _looked(copied, images)
    off, aside = (wanted - found).abs().max(), (attack_model - other).norm()
    near = off <= TOLERANCE * wanted.abs().max()
    return bool(near and aside <= GRADIENT_TOLERANCE * attack_model.norm())


def _looked(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits, and the gradient of a function of them that hangs on each."""
    with torch.enable_grad():
        leaf = images.detach().requires_grad_()
        logits = _logits(model, leaf)
        (gradient,) = torch.autograd.grad(logits.float().logsumexp(1).sum(), leaf)
    return logits.detach(), gradient


def _logits(model: nn.Module, images: Tensor) -> Tensor:
    output: Any = model(images)
    logits: Tensor = output if isinstance(output, Tensor) else output.logits
    return logits
