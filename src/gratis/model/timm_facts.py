"""What a model in timm's format says of its classes and of the images that it takes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gratis.model.networks import Architecture
from gratis.model.stored_facts import StoredFacts, read_facts

# Our word for each of their ways to make an image square.
_RESIZES = {"center": "crop", "border": "pad", "squash": "squash"}


def own_facts(architecture: Architecture) -> StoredFacts | None:
    """Return the facts that gratis stored in a folder or repository of timm's format, if any."""
    if architecture.origin not in ("local-dir", "hf-hub"):
        return None
    content = json.loads(_config_file(architecture).read_text(encoding="utf-8"))
    stored = content.get("gratis")
    return read_facts(stored) if isinstance(stored, Mapping) else None


def preparation(architecture: Architecture) -> dict[str, Any]:
    """Return what a module says of its classes and image files, as its attributes.

    They are those that gratis stored, or else what timm's configuration says. Of timm's own names,
    whose weights may be of any training, nothing is known.
    """
    if architecture.origin not in ("local-dir", "hf-hub"):
        return {}
    facts, config = own_facts(architecture), architecture.config
    if facts is not None:
        return dict(facts)
    found = {"image_size": int(config["input_size"][-1])}
    resize = _RESIZES.get(config.get("crop_mode", "center"))
    names = label_names(config)
    return found | ({"resize": resize} if resize else {}) | ({"classes": names} if names else {})


def label_names(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the names of the classes in a configuration of timm's, where it lists them."""
    names = config.get("label_names")
    if isinstance(names, list | tuple) and names and all(isinstance(n, str) for n in names):
        return tuple(names)
    return None


def _config_file(architecture: Architecture) -> Path:
    # Its reading comes first: what is missing or unreadable has a message there.
    architecture.config  # noqa: B018
    if architecture.origin == "local-dir":
        return Path(architecture.place).expanduser() / "config.json"
    from timm.models import _hub

    return Path(_hub.download_from_hf(architecture.place, "config.json"))
