"""The profile of a packaged recipe if none is named."""

import logging
from collections.abc import Sequence

import torch

from gratis.data import OWN_IMAGES
from gratis.packaged import profile_names
from gratis.recipe.recipe import Recipe
from gratis.recipe.resolution import resolve

logger = logging.getLogger(__name__)


def resolve_by_default(recipe: str, profile: str | None, changes: Sequence[str]) -> Recipe:
    """Return a recipe as :func:`resolve` does; without a ``profile`` the default one resizes it."""
    return resolve(recipe, profile or default_profile(recipe, changes), changes)


def default_profile(recipe: str, changes: Sequence[str]) -> str | None:
    """Return the profile for a packaged recipe, its data (in ``changes``) and this machine.

    - A recipe file has no profile: it is used as it is.
    - A recipe in a folder, such as ``record/free``, has the profile of that folder, if any.
    - ``digits`` has its own profile.
    - Without a GPU, your own images have ``photos-cpu``, and all other data has
      ``tiny-imagenet-cpu``: small images and a narrow network, trained from scratch.
    - With one, all data has ``tiny-imagenet``: pretrained weights, 224 px.
    """
    if recipe.endswith((".yaml", ".yml")):
        return None
    if "/" in recipe:
        folder = recipe.rpartition("/")[0]
        return folder if folder in profile_names() else None
    names = [change.partition("=")[2] for change in changes if change.startswith("data.name=")]
    data = names[-1].strip("\"' ") if names else "digits"
    if data == "digits":
        return "digits"
    if torch.cuda.is_available():
        profile, device = "tiny-imagenet", "a GPU"
    else:
        profile, device = "photos-cpu" if data in OWN_IMAGES else "tiny-imagenet-cpu", "no GPU"
    logger.info(f"profile {profile} for {data} and {device}; change it with --profile")
    return profile
