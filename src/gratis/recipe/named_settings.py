"""Settings by the word that is their file's name: an adversary, or the terms of an objective."""

from typing import TYPE_CHECKING, Any, Self

from pydantic import create_model, model_validator

from gratis.adversary import ADVERSARIES
from gratis.objective import TERMS
from gratis.settings import Settings


class NamedSettings(Settings):
    """Settings of one or several kinds, each under its word: ``{free: {replays: 4}}``."""

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if not self.chosen():
            raise ValueError(f"choose from {', '.join(type(self).model_fields)}")
        return self

    def chosen(self) -> dict[str, Any]:
        """Return the settings that were given, by their word."""
        return {word: settings for word, settings in self if settings is not None}


class OneNamedSettings(NamedSettings):
    """Settings of exactly one kind."""

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if len(self.chosen()) > 1:
            raise ValueError(f"choose one of {', '.join(self.chosen())}, not several")
        return self


if TYPE_CHECKING:
    AdversaryChoice = OneNamedSettings
    ObjectiveChoice = NamedSettings
else:
    AdversaryChoice = create_model(
        "AdversaryChoice",
        __base__=OneNamedSettings,
        **{word: (kind | None, None) for word, kind in ADVERSARIES.items()},
    )
    ObjectiveChoice = create_model(
        "ObjectiveChoice",
        __base__=NamedSettings,
        **{word: (kind | None, None) for word, kind in TERMS.items()},
    )
