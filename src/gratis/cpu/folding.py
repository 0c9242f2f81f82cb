"""A copy of a model for attacks: the same function of the images with less arithmetic."""

import copy
import logging
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gratis.cpu.packing import PackedConv2d, is_packable
from gratis.cpu.quick_stem import QuickStem, use_quick_stem

logger = logging.getLogger(__name__)

Layer = TypeVar("Layer", bound=nn.Module)

# Logits may differ by this share of the largest one: rounding changes them by less.
TOLERANCE = 1e-4
# Gradients may differ by this share of their length: rounding can switch a rectifier at its kink.
GRADIENT_TOLERANCE = 1e-2


def folded(model: nn.Module, images: Tensor) -> nn.Module:
    """Return a frozen copy of ``model``, in evaluation mode, that is cheaper to attack.

    A convolution and the batch norm directly after it become one convolution; which layers are such
    pairs is observed in one pass over ``images`` (n, 3, height, width) in [0, 1]. On a CPU, the
    first convolution is a :class:`QuickStem`, and the convolutions are packed where that is
    possible. The copy is used only if it gives the logits and the input gradients of the model.
    Otherwise ``model`` itself is returned, which is left as it was.
    """
    # Where packing fails, the other changes may still work.
    for pack in (True, False) if any(map(is_packable, model.modules())) else (False,):
        copied = _cheaper_copy(model, images, pack)
        if copied is not None:
            return copied
    return model


def _cheaper_copy(model: nn.Module, images: Tensor, pack: bool) -> nn.Module | None:
    """Return a copy that is cheaper and the same function, or ``None`` if there is none."""
    # An unusual module may raise anything when it is copied or changed.
    try:
        copied = copy.deepcopy(model)
        shares_nothing = set(map(id, model.modules())).isdisjoint(map(id, copied.modules()))
        if (
            shares_nothing
            and _rewrite(copied, images, pack)
            and _same_function(model, copied, images)
        ):
            return copied
    except Exception as error:
        logger.debug(f"no cheaper copy with pack={pack}: {type(error).__name__}: {error}")
    return None


def _rewrite(copied: nn.Module, images: Tensor, pack: bool) -> bool:
    """Change what can be changed in place; return whether anything was."""
    copied.requires_grad_(False)
    pairs = _pairs(copied, images)
    for convolution, norm in pairs:
        _replace(copied, convolution, fuse_conv_bn_eval(convolution, norm))
        _replace(copied, norm, _after_normalising(norm))
    has_quick_stem = use_quick_stem(copied)
    copied.to(memory_format=torch.channels_last)
    packed = pack and _pack(copied, images)
    return bool(pairs) or has_quick_stem or packed


def _pack(copied: nn.Module, images: Tensor) -> bool:
    """Pack all convolutions that can be packed; return whether there was one."""
    layers = [part for part in copied.modules() if is_packable(part)]
    inputs = {layer: given for layer, given, _ in _calls(copied, images, layers)}
    for layer, given in inputs.items():
        _replace(copied, layer, PackedConv2d(layer, given))
    return bool(inputs)


def _after_normalising(norm: nn.Module) -> nn.Module:
    """Return what a norm layer does after normalising."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    return nn.Sequential(norm.get_submodule("drop"), norm.get_submodule("act"))


def _is_norm(layer: nn.Module) -> bool:
    """Return whether a layer is batch norm, or that of timm, which includes an activation."""
    if type(layer) is nn.BatchNorm2d:
        return True
    return isinstance(layer, nn.BatchNorm2d) and hasattr(layer, "drop") and hasattr(layer, "act")


def _calls(model: nn.Module, images: Tensor, layers: list[Layer]) -> list[tuple[Layer, Any, Any]]:
    """Return the calls of ``layers`` in a pass, in order, each with its input and output."""
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
    kinds = (nn.Conv2d, QuickStem)
    layers = [part for part in model.modules() if type(part) in kinds or _is_norm(part)]
    calls = _calls(model, images, layers)
    ran = [layer for layer, _, _ in calls]
    producers = {id(output): layer for layer, _, output in calls}
    return [
        (before, layer)
        for layer, given, _ in calls
        if isinstance(layer, nn.BatchNorm2d)
        and isinstance(before := producers.get(id(given)), nn.Conv2d)
        and layer.running_mean is not None
        and ran.count(layer) == ran.count(before) == 1
    ]


def _replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for part in list(model.modules()):
        for name, child in part.named_children():
            if child is old:
                setattr(part, name, new)


def _same_function(model: nn.Module, copied: nn.Module, images: Tensor) -> bool:
    """Return whether two models agree in their logits and input gradients, up to rounding."""
    logits, gradient = _logits_and_gradient(model, images)
    other_logits, other_gradient = _logits_and_gradient(copied, images)
    difference = (logits - other_logits).abs().max()
    distance = (gradient - other_gradient).norm()
    return bool(
        difference <= TOLERANCE * logits.abs().max()
        and distance <= GRADIENT_TOLERANCE * gradient.norm()
    )


def _logits_and_gradient(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits, and the input gradient of a function that depends on all of them."""
    with torch.enable_grad():
        inputs = images.detach().requires_grad_()
        logits = _logits(model, inputs)
        (gradient,) = torch.autograd.grad(logits.float().logsumexp(1).sum(), inputs)
    return logits.detach(), gradient


def _logits(model: nn.Module, images: Tensor) -> Tensor:
    output: Any = model(images)
    logits: Tensor = output if isinstance(output, Tensor) else output.logits
    return logits
