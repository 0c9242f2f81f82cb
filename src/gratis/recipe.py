"""A recipe: everything that determines one row of the table, from one YAML file.

A profile resizes recipes for a data set and a machine, and overrides from the command line come
last. A profile changes what a row has; it never adds an adversary, a term of the objective, an
augmentation or a denoiser to a row without one.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, create_model, model_validator

from gratis.adversary import ADVERSARIES, AdversarySettings
from gratis.catalogue import profile_path, recipe_path
from gratis.data import DataSettings
from gratis.errors import GratisError
from gratis.evaluate import EvaluateSettings
from gratis.model import ModelSettings
from gratis.objective import TERMS, TermSettings
from gratis.perturb import AugmentSettings
from gratis.results import Paper
from gratis.schedule import SHAPES
from gratis.settings import Settings, validate
from gratis.train import TrainSettings
from gratis.yaml_files import dump_yaml, parse_value, read_yaml

# Parts whose absence from a row says something, so that no profile may add them.
OPTIONAL = ("adversary.", "objective.", "augment", "model.denoiser")

# What decides the trained weights, less what is only about reporting.
DECIDES = {"seed", "model", "augment", "adversary", "objective", "train"}
REPORTS = {"train": {"log_every", "watch_every", "checkpoint_minutes"}}


class Choice(Settings):
    """Settings of some kinds, each under its word: ``{free: {replays: 4}}``, or a word alone."""

    @model_validator(mode="before")
    @classmethod
    def _word_alone(cls, content: object) -> object:
        return _by_word(content)

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if not self.chosen():
            raise ValueError(f"choose from {', '.join(type(self).model_fields)}")
        return self

    def chosen(self) -> dict[str, Any]:
        """Return the settings that were given, by their word."""
        return {word: settings for word, settings in self if settings is not None}


def _by_word(choice: object) -> object:
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


class Recipe(Settings):
    """One row of the table.

    ``row`` is its place there, ``paper`` what the paper reports, in percent. The ``baseline``'s
    gradients make the transfer sets. A ``reference`` row stands outside the comparison at equal
    passes. ``builds_on`` names the row that it is compared with, image by image. An adversary
    without an ``epsilon`` trains at that of the evaluation.
    """

    name: str
    title: str
    row: int = 0
    paper: Paper = Paper()
    baseline: bool = False
    reference: bool = False
    builds_on: str | None = None
    seed: int = 0
    data: DataSettings = DataSettings(name="digits")
    model: ModelSettings = ModelSettings()
    augment: AugmentSettings | None = None
    adversary: AdversaryChoice
    objective: ObjectiveChoice
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()

    @model_validator(mode="before")
    @classmethod
    def _epsilon_of_the_evaluation(cls, content: Any) -> Any:
        """Give the adversary the epsilon of the evaluation unless it has its own."""
        try:
            ((word, body),) = _by_word(content["adversary"]).items()  # type: ignore[attr-defined]
            body = dict(body)
            epsilon = content["evaluate"]["epsilon"]
            takes = "epsilon" in ADVERSARIES[word].model_fields
        except (AttributeError, TypeError, ValueError, KeyError):
            return content
        if takes:
            body.setdefault("epsilon", epsilon)
        return content | {"adversary": {word: body}}

    @model_validator(mode="after")
    def _terms_fit_the_model(self) -> Self:
        for word, settings in self.terms.items():
            if settings.build().needs_denoiser and self.model.denoiser is None:
                raise ValueError(f"objective.{word} needs model.denoiser")
        return self

    @property
    def adversary_settings(self) -> AdversarySettings:
        """The settings of the one adversary."""
        (settings,) = self.adversary.chosen().values()
        assert isinstance(settings, AdversarySettings)
        return settings

    @property
    def terms(self) -> dict[str, TermSettings]:
        """The settings of the objective's terms, by name."""
        return self.objective.chosen()

    def to_yaml(self) -> str:
        """Return the recipe with every default written out."""
        return dump_yaml(self.model_dump(mode="json", exclude_none=True))

    def identity(self, fingerprint: str) -> str:
        """Return a hash of what decides the trained weights: the recipe and the data's pixels."""
        content = self.model_dump_json(include=DECIDES, exclude=REPORTS, exclude_none=True)
        return hashlib.sha256(f"{content}{fingerprint}".encode()).hexdigest()

    def same_numbers(self, other: Self) -> bool:
        """Return whether ``other`` trains and measures alike, whatever it is called."""
        include, exclude = DECIDES | {"data", "evaluate"}, REPORTS | {"data": {"root"}}
        mine, theirs = (r.model_dump(include=include, exclude=exclude) for r in (self, other))
        return mine == theirs


class Profile(Settings):
    """How to resize every row: ``all`` rows, then ``rows`` by name; some may be left out."""

    title: str
    all: dict[str, Any] = Field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = Field(default_factory=dict)
    leave_out: tuple[str, ...] = ()


def load_profile(name: str) -> Profile:
    """Return a packaged profile, or the user's own: a path that ends in .yaml.

    Raises:
        GratisError: there is no such profile, or a key in it is wrong.
    """
    path = profile_path(name)
    return validate(Profile, read_yaml(path), str(path))


def resolve(name: str, profile: str | None = None, overrides: Iterable[str] = ()) -> Recipe:
    """Return recipe ``name``, resized by ``profile``, with ``key=value`` overrides.

    Raises:
        GratisError: no such recipe or profile, or wrong keys or values: all of them at once.
    """
    path = recipe_path(name)
    content = {"name": path.stem} | _spelled_out(read_yaml(path))
    if profile is not None:
        sizes = load_profile(profile)
        for size in (sizes.all, sizes.rows.get(str(content["name"]), {})):
            content = _merge(content, _spelled_out(size), adds=False)
    for override in overrides:
        content = _merge(content, _parse_override(override))
    return validate(Recipe, content, f"recipe {name}")


def resolve_data(overrides: Iterable[str]) -> DataSettings:
    """Return the data settings that ``data.key=value`` overrides mean.

    Raises:
        GratisError: wrong keys or values.
    """
    content: dict[str, Any] = {}
    for override in overrides:
        content = _merge(content, _parse_override(override))
    return validate(DataSettings, content.get("data"), "data")


def read_recipe(path: Path) -> Recipe:
    """Return a resolved recipe from a run's folder.

    Raises:
        GratisError: the file is missing, or a key in it is wrong.
    """
    return validate(Recipe, read_yaml(path), str(path))


def _parse_override(override: str) -> dict[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise GratisError(f"{override!r} is not of the form key=value")
    value = parse_value(override, text)
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def _spelled_out(content: dict[str, Any]) -> dict[str, Any]:
    choices = content.keys() & {"adversary", "objective"}
    return content | {part: _by_word(content[part]) for part in choices}


def _is_schedule(value: dict[str, Any]) -> bool:
    """Return whether a value is a schedule; ``{steps: 7}`` is not, but settings of PGD."""
    return any(word in SHAPES and isinstance(body, dict) for word, body in value.items())


def _merge(
    base: dict[str, Any], over: dict[str, Any], *, adds: bool = True, path: str = ""
) -> dict[str, Any]:
    """Return ``base`` with ``over`` written into it, key by key.

    A schedule is one value and replaced as a whole. Without ``adds`` the optional parts that
    ``base`` lacks stay out.
    """
    merged = dict(base)
    for key, value in over.items():
        old, here = base.get(key), f"{path}{key}"
        if old is None and not adds and (here in OPTIONAL or path in OPTIONAL):
            continue
        if isinstance(value, dict) and not _is_schedule(value) and (old or not adds):
            inner = old if isinstance(old, dict) and not _is_schedule(old) else {}
            value = _merge(inner, value, adds=adds, path=f"{here}.")
        merged[key] = value
    return merged
