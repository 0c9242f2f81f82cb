"""A recipe: everything that determines one row of the table."""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import AfterValidator, model_validator

from gratis.adversary import AdversarySettings
from gratis.attacks import Norm
from gratis.augmentation import AugmentSettings
from gratis.data import OWN_IMAGES, DataSettings
from gratis.data.info import DataInfo
from gratis.evaluation import EvaluateSettings
from gratis.model import ModelSettings
from gratis.objective import TermSettings
from gratis.recipe.harden import HardenSettings
from gratis.recipe.named_settings import AdversaryChoice, ObjectiveChoice
from gratis.recipe.profile import RowName
from gratis.results import Paper
from gratis.schedule import Constant
from gratis.settings import Line, Settings
from gratis.training import TrainSettings
from gratis.yaml_files import dump_yaml

# The keys that determine the trained weights.
_WEIGHTS = {"seed", "data", "model", "augment", "adversary", "objective", "train", "harden"}
# Keys below them that may change when a run is resumed: they affect reports only, or events that
# the checkpoint records.
_MAY_CHANGE = {
    "data": {"root", "class_names"},
    "train": {
        "log_every_steps",
        "monitor_every_epochs",
        "checkpoint_every_minutes",
        "on_divergence",
        "on_overfitting",
    },
    # Which of the run's models is chosen.
    "harden": {"keep_clean"},
}

# Settings that checkpoints of earlier versions lack, by their key and the value at which a run is
# trained as before.
_ADDED = {"norm": '"linf"', "views": '"perturbed"', "new_class_layer": "false"}


def _plain_name(name: str) -> str:
    """Refuse a name that is not a plain folder name: runs are kept in folders of that name."""
    if not name or name.startswith(".") or "/" in name or "\\" in name:
        raise ValueError("must be a plain name, without slashes or a leading dot")
    return name


class Recipe(Settings):
    """One row of the table.

    Attributes:
        name: the row's name in folders and results.
        title: what the table shows.
        order: the place in the table.
        paper: what the paper reports, in percent.
        baseline: whether this row's gradients make the transfer sets.
        reference: whether the row is outside the comparison at equal passes.
        compare_with: the row that this one is compared with, image by image.
        seed: the source of all random numbers.
        data: what to train on.
        model: the network.
        augment: how views differ from their image; ``None`` is not at all.
        adversary: what perturbs training batches; exactly one.
        objective: the terms of the loss; at least one.
        train: how long to train, and with which optimizer.
        evaluate: how to measure the trained model.
        starts_from: the trained model that a hardened run continues, as it was named.
        harden: the settings of a hardened run; ``None`` for all other runs.
    """

    name: Annotated[Line, AfterValidator(_plain_name)]
    title: Line
    order: int = 0
    paper: Paper = Paper()
    baseline: bool = False
    reference: bool = False
    compare_with: RowName | None = None
    seed: int = 0
    data: DataSettings = DataSettings(name="digits")
    model: ModelSettings = ModelSettings()
    augment: AugmentSettings | None = None
    adversary: AdversaryChoice
    objective: ObjectiveChoice
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    starts_from: Line | None = None
    harden: HardenSettings | None = None

    @model_validator(mode="after")
    def _terms_fit_the_model(self) -> Self:
        for word, settings in self.terms.items():
            if settings.build().needs_denoiser and self.model.denoiser is None:
                raise ValueError(f"objective.{word} needs model.denoiser")
        return self

    @model_validator(mode="after")
    def _hardening_holds_out(self) -> Self:
        if self.harden is not None and not self.train.held_out_per_class:
            raise ValueError(
                "harden needs train.held_out_per_class: the model is chosen on these images"
            )
        return self

    def with_norms(self) -> "Recipe":
        """Return the recipe with the epsilon that its adversary trains at, measured in its norms.

        An adversary without an ``epsilon`` trains at that of the evaluation in its norm. What
        trains in L2 is measured in L2 too, unless ``evaluate.l2`` is set.
        """
        trained = self._with_epsilon()
        in_l2 = self.target[0] == "l2" or hasattr(trained.adversary_settings, "epsilon_l2")
        if not in_l2 or self.evaluate.l2 is not None:
            return trained
        evaluate = self.evaluate.model_copy(update={"l2": True})
        return trained.model_copy(update={"evaluate": evaluate})

    def _with_epsilon(self) -> "Recipe":
        ((word, settings),) = self.adversary.chosen().items()
        in_l2, evaluated = getattr(settings, "norm", None) == "l2", self.evaluate
        epsilons = {
            "epsilon": evaluated.epsilon_l2 if in_l2 else evaluated.epsilon,
            "epsilon_l2": evaluated.epsilon_l2,
        }
        missing = type(settings).model_fields.keys() - settings.model_fields_set
        update = {k: Constant(value=v) for k, v in epsilons.items() if k in missing}
        if not update:
            return self
        trained = settings.model_copy(update=update)
        return self.model_copy(
            update={"adversary": self.adversary.model_copy(update={word: trained})}
        )

    @property
    def target(self) -> tuple[Norm, float]:
        """The norm that the recipe trains in, and the epsilon of the evaluation in it."""
        norm: Norm = getattr(self.adversary_settings, "norm", "linf")
        return norm, self.evaluate.epsilon if norm == "linf" else self.evaluate.epsilon_l2

    def from_scratch(self) -> "Recipe":
        """Return the recipe with random weights, which a checkpoint then replaces."""
        return self.model_copy(
            update={"model": self.model.model_copy(update={"pretrained": False})}
        )

    def with_data_size(self) -> "Recipe":
        """Return the recipe with own images read at the size of the model's input.

        Other data has a size of its own.
        """
        if self.data.name not in OWN_IMAGES or self.data.size or not self.model.input_size:
            return self
        data = self.data.model_copy(update={"size": self.model.input_size})
        return self.model_copy(update={"data": data})

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

    def to_yaml(self, *, complete: bool = False) -> str:
        """Return the recipe with its defaults; those that are ``null`` only if ``complete``."""
        content = self.model_dump(mode="json", exclude_none=not complete)
        for chosen in ("adversary", "objective"):
            content[chosen] = {k: v for k, v in content[chosen].items() if v is not None}
        return dump_yaml(content)

    def weights_identity(self) -> dict[str, str]:
        """Return the values that determine the trained weights, as JSON by dotted path.

        The folder that the data is in is not among them.
        """
        content = self.model_dump(
            mode="json", include=_WEIGHTS, exclude=_MAY_CHANGE, exclude_none=True
        )
        flat = dict(_flat(content))
        return {k: v for k, v in flat.items() if _ADDED.get(k.rpartition(".")[2]) != v}

    def identity(self, data: DataInfo) -> dict[str, str]:
        """Return what must not change when a run is resumed: weights' identity and data."""
        return self.weights_identity() | data.identity()


def _flat(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value)
