"""Compile the network for training steps."""

import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch._dynamo  # for its exceptions and for dynamic sizes, which have no public name
from torch import Tensor, nn

logger = logging.getLogger(__name__)

BACKEND: str | Callable[..., Any] = "inductor"


def compile_training(module: nn.Module) -> None:
    """Compile the forward pass of ``module`` in training mode: steps, and attacks within them.

    Parameters and their names do not change. In evaluation mode the module runs uncompiled. Any
    batch size works without compiling again. If the compiler is missing or fails, the module runs
    uncompiled and logs a warning. The module can no longer be copied.
    """
    # Dynamo stops compiling a class after a number of versions.
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
            # Some systems and Python versions have no compiler.
            _warn(error)

    def __call__(self, images: Tensor) -> Any:
        if self._compiled is None or not self._module.training:
            return self._plain(images)
        torch._dynamo.maybe_mark_dynamic(images, 0)
        try:
            with warnings.catch_warnings():
                # Dynamo reads the gradient of the images, which a micro-batch does not have.
                warnings.filterwarnings("ignore", "The .grad attribute of a Tensor", UserWarning)
                return self._compiled(images)
        except torch._dynamo.exc.TorchDynamoException as error:
            self._compiled = None
            _warn(error)
        return self._plain(images)


def _warn(error: Exception) -> None:
    first = str(error).strip().partition("\n")[0]
    logger.warning(f"train.compile: the compiler failed, training uncompiled ({first})")
