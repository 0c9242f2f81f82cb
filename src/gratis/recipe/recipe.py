"""A recipe: everything that determines one row of the table."""

import hashlib
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from gratis.adversary import ADVERSARIES, AdversarySettings
from gratis.data import DataSettings
from gratis.evaluate import EvaluateSettings
from gratis.model import ModelSettings
from gratis.objective import TermSettings
from gratis.perturb import AugmentSettings
from gratis.recipe.choice import AdversaryChoice, ObjectiveChoice, by_word
from gratis.results import Paper
from gratis.settings import Settings, validate
from gratis.train import TrainSettings
from gratis.yaml_files import dump_yaml, read_yaml

# What decides the trained weights, less what is only about reporting.
DECIDES = {"seed", "model", "augment", "adversary", "objective", "train"}
REPORTS = {"train": {"log_every", "watch_every", "checkpoint_minutes"}}


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
            ((word, body),) = by_word(content["adversary"]).items()  # type: ignore[attr-defined]
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

    def trains_as(self, other: Self) -> bool:
        """Return whether ``other`` trains alike, whatever it is called and wherever its data is."""
        include, exclude = DECIDES | {"data"}, REPORTS | {"data": {"root"}}
        mine, theirs = (r.model_dump(include=include, exclude=exclude) for r in (self, other))
        return mine == theirs


def read_recipe(path: Path) -> Recipe:
    """Return a resolved recipe from a run's folder.

    Raises:
        GratisError: the file is missing, or a key in it is wrong.
    """
    return validate(Recipe, read_yaml(path), str(path))
