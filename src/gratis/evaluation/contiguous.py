"""Models that get a contiguous copy of the images, because they need it."""

import logging
from typing import Any

import torch
from torch import Tensor, nn

from gratis.attacks import channels_last, frozen
from gratis.model import logits_of
from gratis.torch_state import fresh_torch_state, full_precision

logger = logging.getLogger(__name__)


class ContiguousInputs(nn.Module):
    """A model that gets a contiguous copy of every batch, which it may change."""

    def __init__(self, model: nn.Module) -> None:
        """Wrap ``model``."""
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Any:
        """Return what the model returns for images (n, 3, height, width)."""
        return self.model(images.clone(memory_format=torch.contiguous_format))


def with_contiguous_inputs(model: nn.Module, images: Tensor, name: str) -> nn.Module:
    """Return ``model``, or with :class:`ContiguousInputs` around it if that makes attacks work.

    Images are channels last, and attacks need their gradient. Some ordinary models fail on them:
    they call ``view``, or change their input in place. A few ``images`` are tried, on the model's
    device; the model is left as it was.
    """
    wrapped = ContiguousInputs(model)
    with fresh_torch_state(images.device), frozen(model), full_precision(images.device):
        with channels_last(model):
            problem = _problem(model, images)
        if problem is None or _problem(wrapped, images) is not None:
            return model
    logger.info("%s: gets a contiguous copy of every batch, since it %s", name, problem)
    return wrapped


def _problem(model: nn.Module, images: Tensor) -> str | None:
    """Return what is wrong with the model on images that it shares with an attack, if anything."""
    given = images.detach().clone(memory_format=torch.preserve_format)
    try:
        with torch.no_grad():
            logits_of(model(given))
    except Exception as error:
        return f"fails on those in memory format channels last ({type(error).__name__})"
    if not torch.equal(given, images):
        return "changes its images in place"
    try:
        logits_of(model(given.requires_grad_()))
    except Exception as error:
        return f"fails where their gradient is needed ({type(error).__name__})"
    return None
