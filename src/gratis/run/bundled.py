"""The small models that come with gratis, by name."""

from importlib import resources
from pathlib import Path

# Of all of Tiny ImageNet: one trained naturally, one hardened by scheduled free training.
BUNDLED = ("tiny-imagenet-natural", "tiny-imagenet-robust")


def bundled_folder(name: str) -> Path | None:
    """Return the folder of a bundled model; ``None`` if there is none of this name."""
    if name not in BUNDLED:
        return None
    return Path(str(resources.files("gratis").joinpath("models", name)))
