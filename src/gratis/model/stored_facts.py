"""What an exported model says of its classes and images, read from its metadata."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from gratis.settings import Line, Settings


class StoredFacts(Settings):
    """How an exported model is used.

    Attributes:
        classes: the name of each class, in the order of the logits.
        image_size: height and width of its images, in pixels.
        resize: how image files that are not square become so.
        white_level: the value of white in greys of more than 8 bits; ``None`` is the default.
    """

    classes: tuple[Line, ...]
    image_size: Annotated[int, Field(ge=1)]
    resize: Literal["crop", "pad", "squash"] = "crop"
    white_level: Annotated[float, Field(gt=0)] | None = None

    def to_text(self) -> dict[str, str]:
        """Return the facts as metadata: each as JSON."""
        return {f"gratis.{key}": json.dumps(v) for key, v in self.model_dump(mode="json").items()}


def read_facts(metadata: Mapping[str, str]) -> StoredFacts | None:
    """Return the facts in a model's metadata, or ``None`` if another tool wrote it."""
    try:
        found: dict[str, Any] = {
            key: json.loads(metadata[f"gratis.{key}"])
            for key in StoredFacts.model_fields
            if f"gratis.{key}" in metadata
        }
        return StoredFacts.model_validate(found)
    except (ValidationError, ValueError, RecursionError):
        return None
