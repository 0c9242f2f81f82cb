"""The sample images of an evaluation, which a report shows without the model or its data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from gratis.errors import file_error
from gratis.results.arrays import Arrays, load_arrays, save_arrays
from gratis.results.schema import Accuracy
from gratis.settings import Settings

FILE = "sample_images.safetensors"

Kind = Literal["clean", "geometric", "adversarial", "perturbation", "denoised"]
KINDS: tuple[Kind, ...] = ("clean", "geometric", "adversarial", "perturbation", "denoised")
Picture = NDArray[np.uint8]

_AT_EPSILONS = "at_epsilons"
_PROBLEM = "holds no sample images"
_REMEDY = "delete it, or evaluate again: without it the report shows no images"


class SampleAttack(Settings, extra="ignore"):
    """The attack behind the adversarial pictures, with the names of a task's settings."""

    epsilon: float
    steps: int
    restarts: int
    random_start: bool
    loss: str


class Prediction(Settings):
    """The class that a model finds most likely, by name, and its probability in [0, 1]."""

    name: str
    confidence: Accuracy


class _Description(Settings):
    """The part of the file that is JSON."""

    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    attack: SampleAttack | None
    predictions: dict[Kind, tuple[Prediction, ...]]
    # By image and epsilon; files of earlier versions have none.
    epsilons: tuple[Accuracy, ...] = ()
    at_epsilons: tuple[tuple[Prediction, ...], ...] = ()


class AtEpsilon(NamedTuple):
    """An image under the same attack with another epsilon, in [0, 1] units of pixel value."""

    epsilon: float
    picture: Picture
    prediction: Prediction


@dataclass(frozen=True)
class SampleImage:
    """One validation image, what was made of it, and what the model predicts.

    Attributes:
        index: its position in the validation split.
        label: its class, by name.
        pictures: uint8 (height, width, 3), by kind: ``clean``, ``geometric``, ``adversarial``,
            ``perturbation`` (from -epsilon, black, to epsilon, white) and ``denoised`` (the
            denoiser's output for the adversarial picture).
        predictions: the prediction for each kind that the model classified.
        at_epsilons: the image under the attack with growing epsilons, the same for all images.
    """

    index: int
    label: str
    pictures: Mapping[Kind, Picture]
    predictions: Mapping[Kind, Prediction]
    at_epsilons: Sequence[AtEpsilon] = ()


@dataclass(frozen=True)
class SampleImages:
    """The sample images of one evaluation, with the labels of the whole validation split.

    ``attack`` made the adversarial pictures; it is ``None`` if there are none.
    """

    classes: Sequence[str]
    labels: NDArray[np.int64]
    attack: SampleAttack | None
    images: Sequence[SampleImage]

    def save(self, path: Path) -> None:
        """Write one safetensors file, all or nothing."""
        kinds, asked = self.images[0].pictures, self.images[0].predictions
        arrays: dict[str, NDArray[Any]] = {
            kind: np.stack([image.pictures[kind] for image in self.images]) for kind in kinds
        }
        steps = [image.at_epsilons for image in self.images]
        if steps[0]:
            arrays[_AT_EPSILONS] = np.stack([np.stack([s.picture for s in each]) for each in steps])
        arrays["labels"] = self.labels
        arrays["index"] = np.array([image.index for image in self.images], dtype=np.int64)
        description = _Description(
            classes=tuple(self.classes),
            attack=self.attack,
            predictions={k: tuple(image.predictions[k] for image in self.images) for k in asked},
            epsilons=tuple(step.epsilon for step in steps[0]),
            at_epsilons=tuple(tuple(step.prediction for step in each) for each in steps),
        )
        save_arrays(path, arrays, {"description": description.model_dump_json()})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        content = load_arrays(path, _PROBLEM, _REMEDY)
        try:
            text = content.metadata.get("description", "")
            description = _Description.model_validate_json(text)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise file_error(path, f"{_PROBLEM} ({problem})", _REMEDY) from error
        if not _consistent(content.arrays, description):
            raise file_error(path, _PROBLEM, _REMEDY)
        labels = content.arrays["labels"]
        return cls(description.classes, labels, description.attack, _images(content, description))


def _images(content: Arrays, description: _Description) -> list[SampleImage]:
    arrays = content.arrays
    pictures: dict[Kind, NDArray[Any]] = {kind: arrays[kind] for kind in KINDS if kind in arrays}
    return [
        SampleImage(
            index=index,
            label=description.classes[arrays["labels"][index]],
            pictures={kind: array[row] for kind, array in pictures.items()},
            predictions={kind: each[row] for kind, each in description.predictions.items()},
            at_epsilons=[
                AtEpsilon(epsilon, arrays[_AT_EPSILONS][row, place], prediction)
                for place, (epsilon, prediction) in enumerate(
                    zip(description.epsilons, description.at_epsilons[row], strict=True)
                )
            ]
            if description.epsilons
            else [],
        )
        for row, index in enumerate(arrays["index"].tolist())
    ]


def _consistent(arrays: Mapping[str, NDArray[Any]], description: _Description) -> bool:
    others = ("labels", "index", _AT_EPSILONS)
    pictures = {name: array for name, array in arrays.items() if name not in others}
    if not {"labels", "index", "clean"} <= arrays.keys() or pictures.keys() - set(KINDS):
        return False
    labels, index, shape = arrays["labels"], arrays["index"], arrays["clean"].shape
    return (
        all(array.shape == shape and array.dtype == np.uint8 for array in pictures.values())
        and len(shape) == 4
        and shape[-1] == 3
        and min(shape) > 0
        and _numbers(labels, len(description.classes))
        and _numbers(index, len(labels))
        and len(index) == shape[0]
        and description.predictions.keys() <= pictures.keys()
        and all(len(each) == shape[0] for each in description.predictions.values())
        and (description.attack is not None or "adversarial" not in pictures)
        and _fits(arrays.get(_AT_EPSILONS), description, shape)
    )


def _fits(steps: NDArray[Any] | None, description: _Description, shape: tuple[int, ...]) -> bool:
    """Return whether the images at several epsilons belong to those of ``shape``."""
    count, predictions = len(description.epsilons), description.at_epsilons
    if steps is None:
        return count == 0
    return (
        steps.dtype == np.uint8
        and steps.shape == (shape[0], count, *shape[1:])
        and count > 0
        and len(predictions) == shape[0]
        and all(len(each) == count for each in predictions)
    )


def _numbers(array: NDArray[Any], limit: int) -> bool:
    """Return whether an array holds integers in [0, limit) and nothing else."""
    if array.dtype != np.int64 or array.ndim != 1 or not len(array):
        return False
    return bool(array.min() >= 0 and array.max() < limit)
