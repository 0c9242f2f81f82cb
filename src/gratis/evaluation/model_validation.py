"""Validation of a model before it is measured: models that need a change are refused."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gratis.attacks import frozen, input_gradient
from gratis.data.batches import to_float
from gratis.data.dataset import Dataset, Split
from gratis.errors import GratisError, printable
from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.results.statistics import mcnemar
from gratis.torch_state import full_precision, isolated

# The number of labelled images that show whether a model expects another input.
_IMAGES = 200
# The accuracy that the model must gain by it, and the p-value of the paired test.
_GAIN, _P = 0.05, 0.05
# Rows of probabilities sum to 1 up to the rounding of half precision.
_ROUNDING = 1e-3
_STATISTICS_IMAGES = 1000


class _Scale(NamedTuple):
    """A normalisation by channel: (images - mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


_COMMON = {
    "ImageNet's mean and std": _Scale((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "[-1, 1]": _Scale((0.5,) * 3, (0.5,) * 3),
    "[0, 255]": _Scale((0.0,) * 3, (1 / 255,) * 3),
}


def validate_model(
    model: nn.Module, dataset: Dataset, name: str, attacks: bool, batch_size: int
) -> None:
    """Refuse a model that does not map images in [0, 1] to logits.

    Args:
        model: the model, on the device of its parameters; left as it was.
        dataset: the data that it is to be measured on.
        name: the model's name, for messages.
        attacks: whether the model must have an input gradient.
        batch_size: images at a time.

    Raises:
        GratisError: the model fails on the images; it returns something other than one logit for
            each class, or probabilities; it expects normalised images, or normalises twice; it
            needs an input gradient and has none.
    """
    split = dataset.validation
    evaluated = EvaluatedModel(model, split, {}, seed=0)
    count = min(_IMAGES, len(split))
    index = np.arange(count, dtype=np.int64) * len(split) // count
    device = evaluated.device
    with isolated(device), frozen(model), full_precision(device):
        images, labels, _ = evaluated.batch_at(index)
        with torch.no_grad():
            outputs = [_logits(model, part, name) for part in images.split(batch_size)]
        for output in outputs:
            _refuse_output(output, len(dataset.classes), name)
        if attacks:
            _refuse_without_gradient(evaluated, images[:1], labels[:1], name)
        scales = _COMMON | {"the data's mean and std": _statistics(dataset.train)}
        _refuse_other_input(evaluated, images, labels, scales, name, batch_size)


def _logits(model: nn.Module, images: Tensor, name: str) -> Tensor:
    shape = "x".join(map(str, images.shape[1:]))
    try:
        output: Any = model(images)
    except torch.OutOfMemoryError as error:
        problem = f"runs out of memory on {len(images)} images of {shape}"
        raise _refusal(name, f"{problem}; use a device with more memory") from error
    except Exception as error:
        raise _refusal(
            name,
            f"fails on images of {shape} ({type(error).__name__}: {error}); resize inside "
            "the model, or use --input-size",
        ) from error
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(logits, Tensor):
        raise _refusal(
            name, f"returns {type(output).__name__}; return the logits, or an object with logits"
        )
    return logits


def _refuse_output(logits: Tensor, classes: int, name: str) -> None:
    if logits.ndim != 2 or logits.shape[1] != classes:
        raise _refusal(
            name,
            f"returns {'x'.join(map(str, logits.shape))} numbers, not one for each image "
            f"and each of the {classes} classes; use the data that it was trained on, or select "
            "the classes inside the model",
        )
    if not logits.isfinite().all():
        raise _refusal(name, "returns numbers that are not finite; check its weights")
    sums = logits.sum(1)
    if ((logits >= 0) & (logits <= 1)).all() and ((sums - 1).abs() <= _ROUNDING).all():
        raise _refusal(
            name,
            "returns probabilities, whose gradients vanish; return the logits: leave out "
            "the softmax",
        )


def _refuse_without_gradient(
    evaluated: EvaluatedModel, images: Tensor, labels: Tensor, name: str
) -> None:
    try:
        input_gradient(evaluated.classify, images, labels)
    except RuntimeError as error:
        raise _refusal(
            name,
            f"has no gradient with respect to its input ({error}); measure it with --suite "
            "transfer, or remove the operations without a gradient, such as detach or rounding "
            "to integers",
        ) from error


def _refuse_other_input(
    evaluated: EvaluatedModel,
    images: Tensor,
    labels: Tensor,
    scales: Mapping[str, _Scale],
    name: str,
    batch_size: int,
) -> None:
    def correct(changed: Tensor) -> NDArray[np.bool_]:
        pairs = zip(changed.split(batch_size), labels.split(batch_size), strict=True)
        return torch.cat([evaluated.is_correct(*pair) for pair in pairs]).cpu().numpy()

    plain = correct(images)
    for words, scale in scales.items():
        mean, std = (images.new_tensor(values).view(1, 3, 1, 1) for values in scale)
        normalised = correct((images - mean) / std)
        if _better(normalised, plain):
            raise _refusal(
                name,
                f"expects normalised images: {_gain(plain, normalised)} if they are scaled "
                f"to {words}; normalise inside the model, which gets images in [0, 1]",
            )
        undone = correct(images * std + mean)
        if _better(undone, plain):
            raise _refusal(
                name,
                f"normalises twice: {_gain(plain, undone)} if the scaling to {words} "
                "is undone first; normalise once",
            )


def _refusal(name: str, problem: str) -> GratisError:
    """Return an error on one line, even if the model's own message has more."""
    return GratisError(printable(f"{name}: {problem}"))


def _better(changed: NDArray[np.bool_], plain: NDArray[np.bool_]) -> bool:
    return bool(changed.mean() - plain.mean() > _GAIN and mcnemar(changed, plain) < _P)


def _gain(plain: NDArray[np.bool_], changed: NDArray[np.bool_]) -> str:
    return (
        f"its accuracy on {len(plain)} images is {100 * plain.mean():.0f}%, and "
        f"{100 * changed.mean():.0f}%"
    )


def _statistics(split: Split) -> _Scale:
    """Return the mean and std of some images of a split, by channel."""
    count = min(_STATISTICS_IMAGES, len(split))
    some = split.images[np.arange(count) * len(split) // count]
    pixels = to_float(some, "cpu").double()
    # A constant channel cannot be divided by its std.
    std = pixels.std((0, 2, 3), correction=0).clamp(min=1e-3)
    return _Scale(tuple(pixels.mean((0, 2, 3)).tolist()), tuple(std.tolist()))
