"""Settings of one kind or several, each under the word that is its file's name."""

from typing import TYPE_CHECKING, Any, Self

from pydantic import create_model, model_validator

from gratis.adversary import ADVERSARIES
from gratis.objective import TERMS
from gratis.settings import Settings


class Choice(Settings):
    """Settings of some kinds, each under its word: ``{free: {replays: 4}}``, or a word alone."""

    @model_validator(mode="before")
    @classmethod
    def _word_alone(cls, content: object) -> object:
        return by_word(content)

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if not self.chosen():
            raise ValueError(f"choose from {', '.join(type(self).model_fields)}")
        return self

    def chosen(self) -> dict[str, Any]:
        """Return the settings that were given, by their word."""
        return {word: settings for word, settings in self if settings is not None}


def by_word(choice: object) -> object:
    """Return a word alone, or with nothing behind it, with the defaults that it means."""
    if isinstance(choice, str):
        return {choice: {}}
    if isinstance(choice, dict):
        return {word: {} if body is None else body for word, body in choice.items()}
    return choice


class OneChoice(Choice):
    """Settings of exactly one kind."""

    @model_validator(mode="after")
    def _not_more(self) -> Self:
        if len(self.chosen()) > 1:
            raise ValueError(f"choose one of {', '.join(self.chosen())}, not several")
        return self


if TYPE_CHECKING:
    AdversaryChoice = OneChoice
    ObjectiveChoice = Choice
else:
    AdversaryChoice = create_model(
        "AdversaryChoice",
        __base__=OneChoice,
        **{word: (kind | None, None) for word, kind in ADVERSARIES.items()},
    )
    ObjectiveChoice = create_model(
        "ObjectiveChoice",
        __base__=Choice,
        **{word: (kind | None, None) for word, kind in TERMS.items()},
    )
