"""Compile the network that is trained, for its training steps alone."""

import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch._dynamo  # for its exceptions and for sizes that may change, not public elsewhere
from torch import Tensor, nn

logger = logging.getLogger(__name__)


BACKEND: str | Callable[..., Any] = "inductor"


def compile_training(module: nn.Module) -> None:
    """Let ``module`` run compiled while it is in training mode: steps, and attacks within them.

    Its parameters and their names stay as they are. In evaluation mode it runs as before. How
    many images it is given makes no difference. Where the compiler is missing or fails, one line
    is said, and the module runs as before. Copies of the module must be made before.
    """
    # The compiler gives up on a class of which it has compiled too many kinds.
    torch._dynamo.reset()
    module.forward = _Compiled(module)


class _Compiled:
    """A module's forward pass, compiled where that works."""

    def __init__(self, module: nn.Module) -> None:
        self._module, self._plain = module, module.forward
        self._compiled: Callable[..., Any] | None = None
        try:
            self._compiled = torch.compile(module.forward, backend=BACKEND)
        except RuntimeError as error:
            # Not on every system, nor with every Python.
            _give_up(error)

    def __call__(self, images: Tensor) -> Any:
        if self._compiled is None or not self._module.training:
            return self._plain(images)
        torch._dynamo.maybe_mark_dynamic(images, 0)
        try:
            with warnings.catch_warnings():
                # The compiler looks for the gradient of what has none of its own: a part of a leaf.
                warnings.filterwarnings("ignore", "The .grad attribute of a Tensor", UserWarning)
                return self._compiled(images)
        except torch._dynamo.exc.TorchDynamoException as error:
            self._compiled = None
            _give_up(error)
        return self._plain(images)


def _give_up(error: Exception) -> None:
    first = str(error).strip().partition("\n")[0]
    logger.info(
        f"train.compile: training goes on uncompiled, because the compiler failed ({first})"
    )
