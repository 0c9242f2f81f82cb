"""Choose the precision of training by what the device is quick at."""

import logging
from collections.abc import Callable
from typing import Literal

import torch

from gratis.recipe import Recipe
from gratis.run.folder import RunFolder

logger = logging.getLogger(__name__)

Precision = Literal["32-true", "bf16-mixed"]


def fit_to_device(recipe: Recipe, folder: RunFolder) -> Recipe:
    """Return the recipe with its ``train.precision``, where that is ``auto``, chosen.

    A run that has begun keeps its precision, whatever device it goes on with.

    Raises:
        GratisError: the recipe in ``folder`` is damaged.
    """
    if recipe.train.precision != "auto":
        return recipe
    if folder.recipe_file.exists():
        chosen = folder.recipe().train.precision
    else:
        chosen = quick_precision()
        logger.info(f"train.precision: {chosen}, as this device is quickest with")
    train = recipe.train.model_copy(update={"precision": chosen})
    return recipe.model_copy(update={"train": train})


def quick_precision() -> Precision:
    """Return ``bf16-mixed`` where the device computes with bfloat16 in hardware."""
    if torch.cuda.is_available():
        quick = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        quick = any(_says(name) for name in _CPU)
    return "bf16-mixed" if quick else "32-true"


# Not public in torch, and not in every version of it.
_CPU = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def _says(name: str) -> bool:
    probe: Callable[[], bool] = getattr(torch.cpu, name, lambda: False)
    return probe()
