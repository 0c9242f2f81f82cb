"""Adversaries: each perturbs training batches in its own way, in one file.

The file's name is the word in a recipe. To add an adversary, add a file with a subclass of
:class:`AdversarySettings` and one of :class:`Adversary`.
"""

from gratis.adversary.base import Adversary, AdversarySettings, Model
from gratis.settings import discover

__all__ = ["ADVERSARIES", "Adversary", "AdversarySettings", "Model"]

ADVERSARIES: dict[str, type[AdversarySettings]] = discover(
    __name__,
    AdversarySettings,  # type: ignore[type-abstract]
)
