"""A recipe: everything that determines one row of the table."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, model_validator

from gratis.adversary import ADVERSARIES, AdversarySettings
from gratis.augmentation import AugmentSettings
from gratis.data import Dataset, DataSettings
from gratis.evaluation import EvaluateSettings
from gratis.model import ModelSettings
from gratis.objective import TermSettings
from gratis.recipe.choice import AdversaryChoice, ObjectiveChoice, by_word
from gratis.results import Paper
from gratis.settings import Line, Settings, validate
from gratis.training import TrainSettings
from gratis.yaml_files import dump_yaml, read_yaml

# What decides the trained weights; and what may change between the legs of a run, because it
# only reports, or because the events that it leads to are part of the checkpoint.
DECIDES = {"seed", "data", "model", "augment", "adversary", "objective", "train"}
MAY_CHANGE = {
    "data": {"root"},
    "train": {
        "budget",
        "log_every",
        "monitor_every",
        "checkpoint_minutes",
        "on_divergence",
        "on_overfitting",
    },
}


def _no_path(name: str) -> str:
    """Refuse a name that would lead a run's folder elsewhere."""
    if not name or name.startswith(".") or "/" in name or "\\" in name:
        raise ValueError("must be a plain name, without slashes or a dot in front")
    return name


class Recipe(Settings):
    """One row of the table.

    ``row`` is its place there, ``paper`` what the paper reports, in percent. The ``baseline``'s
    gradients make the transfer sets. A ``reference`` row stands outside the comparison at equal
    passes. ``builds_on`` names the row that it is compared with, image by image. An adversary
    without an ``epsilon`` trains at that of the evaluation.
    """

    name: Annotated[Line, AfterValidator(_no_path)]
    title: Line
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

    def decides(self) -> dict[str, str]:
        """Return what decides the trained weights, by dotted path; wherever the data is kept."""
        content = self.model_dump(
            mode="json", include=DECIDES, exclude=MAY_CHANGE, exclude_none=True
        )
        return dict(_flat(content))

    def identity(self, dataset: Dataset) -> dict[str, str]:
        """Return what may not change between the legs of a run, by dotted path: recipe and data."""
        return self.decides() | {
            "dataset.classes": str(len(dataset.classes)),
            "dataset.train_images": str(len(dataset.train)),
            "dataset.validation_images": str(len(dataset.validation)),
            "dataset.pixels": dataset.fingerprint,
        }


def read_recipe(path: Path) -> Recipe:
    """Return a resolved recipe from a run's folder.

    Raises:
        GratisError: the file is missing, or a key in it is wrong.
    """
    return validate(Recipe, read_yaml(path), str(path))


def _flat(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value)
