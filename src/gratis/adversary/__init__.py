"""Who perturbs a training batch: one file each, free to combine with any objective.

The file's name is the word in a recipe. To add an adversary, add a file with a subclass of
:class:`AdversarySettings` and one of :class:`Adversary`.
"""

from gratis.adversary.contract import Adversary, AdversarySettings, Model
from gratis.settings import discover

__all__ = ["ADVERSARIES", "Adversary", "AdversarySettings", "Model"]

ADVERSARIES: dict[str, type[AdversarySettings]] = discover(
    __name__,
    AdversarySettings,  # type: ignore[type-abstract]
)
