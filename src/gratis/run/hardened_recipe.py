"""The recipe of a hardened run: a packaged recipe, completed by the model and the data."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from gratis.attacks import BALLS
from gratis.data import OWN_IMAGES, Dataset, Split
from gratis.digests import tensors_digest
from gratis.errors import GratisError, printable
from gratis.recipe import HardenSettings, Recipe, resolve
from gratis.run.folder import RunFolder
from gratis.run.frontier import FEWEST, IMAGES
from gratis.run.loading import load_once
from gratis.run.sources import ModelSource
from gratis.run.starting_point import StartingPoint, is_run, native_size, starting_point
from gratis.settings import fraction, override, validate
from gratis.training import TrainSettings
from gratis.training.weights_file import StateDict

HardeningAdversary: TypeAlias = Literal["free", "n_fgsm"]
# The packaged recipe of each adversary.
RECIPES: dict[str, str] = {"free": "harden/free", "n_fgsm": "harden/n-fgsm"}

# The share of the time for natural training, if the class layer is new.
_NATURAL_SHARE = 0.3
# The options that stand for a key of the recipe with their name.
_OPTIONS = {"input-size", "weights", "keep-clean", "adversary", "norm"}
# The default target in each norm; in L2 that of the evaluation.
_TARGETS: dict[str, float] = {"linf": 4 / 255, "l2": 0.5}
# The epsilons of the curve of the evaluation, as shares of the target.
_SHARES = (0.25, 0.5, 0.75, 1.0)
# Held-out images of a class: at least five, and at most this share of the smallest class.
_FEWEST, _LARGEST_SHARE = 5, 0.2


class Hardening(NamedTuple):
    """What ``gratis harden`` asks for.

    Attributes:
        source: the model.
        data: ``data.key=value``; empty for the data of a run.
        epsilon: the target of training and evaluation, in [0, 1] units of pixel value or as text.
            ``None``: the default of the norm.
        norm: the norm of the target.
        adversary: the word of the adversary.
        keep_clean: as :class:`gratis.recipe.HardenSettings`.
        overrides: ``key=value`` of any other key.
    """

    source: ModelSource
    data: Sequence[str]
    epsilon: float | str | None
    norm: str
    adversary: str
    keep_clean: float | None
    overrides: Sequence[str]


def hardened_recipe(asked: Hardening) -> tuple[Recipe, StateDict]:
    """Return the recipe of a hardened run, and the weights that it starts from."""
    source = asked.source
    if asked.adversary not in RECIPES:
        raise GratisError(f"adversary: choose from {', '.join(RECIPES)}, not {asked.adversary!r}")
    if asked.norm not in BALLS:
        raise GratisError(f"norm: choose from {', '.join(BALLS)}, not {asked.norm!r}")
    _refuse_reserved(asked)
    changes = [*_data(asked), *_epsilons(asked), *asked.overrides]
    recipe = resolve(RECIPES[asked.adversary], None, changes)
    dataset = load_once(recipe.data)
    start = starting_point(source, recipe, dataset.classes)
    return _completed(recipe, start, dataset, asked), start.state


def _refuse_reserved(asked: Hardening) -> None:
    norm = f"adversary.{asked.adversary}.norm="
    for text in asked.overrides:
        if text.startswith("model.new_class_layer="):
            continue
        if text.startswith(("model.", "model=", "harden.", "harden=", "adversary=", norm)):
            key = text.partition("=")[0].rpartition(".")[2].replace("_", "-")
            remedy = f"use --{key}" if key in _OPTIONS else "see gratis harden --help"
            raise GratisError(f"{text}: hardening sets this key; {remedy}")


def _data(asked: Hardening) -> list[str]:
    """Return the data and the size of its images, as overrides."""
    source, size = asked.source, asked.source.input_size
    if is_run(source):
        folder = RunFolder(source.folder)
        if asked.data:
            return [*folder.image_settings(), *asked.data]
        own = folder.recipe().data.model_dump(mode="json", exclude_none=True)
        return [override(f"data.{key}", value) for key, value in own.items()]
    if not asked.data:
        raise GratisError("harden: name the data, such as --data folder:PATH")
    photographs = [override("data.name", name) for name in OWN_IMAGES]
    if size is None and any(text in photographs for text in asked.data):
        # Photographs have no common size of their own.
        size = native_size(source)
    return [*asked.data, *([] if size is None else [override("model.input_size", size)])]


def _epsilons(asked: Hardening) -> list[str]:
    """Return the target as overrides of the training and of the evaluation."""
    epsilon, adversary = _target(asked), f"adversary.{asked.adversary}"
    schedule = _schedule(RECIPES[asked.adversary], asked.adversary, epsilon)
    changes = [override(f"{adversary}.epsilon", schedule)]
    if asked.norm == "l2":
        return [*changes, f"{adversary}.norm=l2", override("evaluate.epsilon_l2", epsilon)]
    return [
        *changes,
        override("evaluate.epsilon", epsilon),
        override("evaluate.epsilons", [share * epsilon for share in _SHARES]),
    ]


def _target(asked: Hardening) -> float:
    try:
        epsilon = fraction(_TARGETS[asked.norm] if asked.epsilon is None else asked.epsilon)
    except ValueError as error:
        raise GratisError(f"epsilon: {error}") from error
    most, example = (1, " and at most 1, such as 4/255") if asked.norm == "linf" else (math.inf, "")
    if not isinstance(epsilon, int | float) or not 0 < epsilon <= most or math.isinf(epsilon):
        raise GratisError(f"epsilon: must be above 0{example}, not {epsilon}")
    return float(epsilon)


def _schedule(name: str, adversary: str, epsilon: float) -> dict[str, dict[str, float]]:
    """Return the schedule of a packaged recipe, with another target."""
    content = resolve(name).model_dump(mode="json")["adversary"][adversary]["epsilon"]
    ((shape, body),) = content.items()
    return {shape: body | {"stop": epsilon}}


def _completed(recipe: Recipe, start: StartingPoint, dataset: Dataset, asked: Hardening) -> Recipe:
    """Return the recipe with the model, the held-out images and the natural training."""
    train = recipe.train
    if "held_out_per_class" not in train.model_fields_set:
        held_out = _held_out_before(asked.source, dataset) or _held_out(dataset.train)
        train = train.model_copy(update={"held_out_per_class": held_out})
    natural = None
    if not start.keeps_head:
        natural, train = _share(train, _NATURAL_SHARE), _share(train, 1 - _NATURAL_SHARE)
    fields = {
        "digest": tensors_digest(start.state),
        "natural_training": natural,
        "keep_clean": asked.keep_clean,
    }
    harden = validate(HardenSettings, fields, "harden")
    name = asked.source.name
    return recipe.model_copy(
        update={
            "name": f"harden-{name}",
            "title": f"{name}, hardened",
            "model": start.settings,
            "starts_from": printable(asked.source.target),
            "train": train,
            "harden": harden,
        }
    )


def _held_out_before(source: ModelSource, dataset: Dataset) -> int | None:
    """Return how many images of each class a run on the same data has held out, if enough.

    The same images are then new to the natural and to the hardened model.
    """
    if not is_run(source):
        return None
    folder = RunFolder(source.folder)
    held_out = folder.recipe().train.held_out_per_class
    enough = held_out * len(dataset.classes) >= FEWEST
    return held_out if enough and folder.data().fingerprint == dataset.fingerprint else None


def _held_out(train: Split) -> int:
    """Return the number of held-out images of each class."""
    counts = np.bincount(train.labels)
    smallest = int(counts[counts > 0].min())
    wanted = -(-IMAGES // len(counts))
    return max(_FEWEST, min(wanted, int(_LARGEST_SHARE * smallest)))


def _share(train: TrainSettings, share: float) -> TrainSettings:
    """Return the settings for a share of the time."""
    budget = None if train.budget is None else share * train.budget
    return train.model_copy(update={"epochs": share * train.epochs, "budget": budget})
