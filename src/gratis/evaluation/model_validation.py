"""Validation of a model before it is measured: models that need a change are refused."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from gratis.attacks import NoGradientError, frozen, input_gradient
from gratis.data.dataset import Dataset
from gratis.errors import GratisError, printable
from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.evaluation.input_scale import refuse_other_scale
from gratis.evaluation.input_size import refuse_other_size
from gratis.model import logits_of
from gratis.torch_state import full_precision, isolated

# How torch names another number of channels.
_CHANNELS = re.compile(r"to have (\d+) channels, but got 3 channels")
# The number of labelled images that show whether a model expects another input.
_IMAGES = 200
# Rows of probabilities sum to 1 up to the rounding of half precision.
_ROUNDING = 1e-3
# The images that the model is also asked about one by one.
_ALONE = 8
# The change of an image's logits with the rest of its batch, as a share of their range, beyond the
# rounding of half precision.
_CHANGE = 0.01
# The range of equal logits, as a share of their size.
_EQUAL = 1e-4
# The fewest numbers that are not all in [0, 1] by chance if they are logits.
_MANY = 50


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
            each class, or probabilities; its logits for an image depend on the rest of the batch;
            it expects images of another size, or normalised ones, or normalises twice; it needs
            an input gradient and has none.
    """
    split = dataset.validation
    evaluated = EvaluatedModel(model, split, {}, seed=0)
    count = min(_IMAGES, len(split))
    index = np.arange(count, dtype=np.int64) * len(split) // count
    device = evaluated.device
    with isolated(device), frozen(model), full_precision(device):
        images, labels, _ = evaluated.batch_at(index)
        with torch.no_grad():
            outputs = [model_logits(model, part, name) for part in images.split(batch_size)]
            _refuse_output(outputs, len(dataset.classes), name, attacks)
            _refuse_batch_dependence(model, images[:batch_size], outputs[0], name)
        if attacks:
            _refuse_without_gradient(evaluated, images[:1], labels[:1], name)
        refuse_other_size(evaluated, images, labels, name, batch_size)
        refuse_other_scale(evaluated, images, labels, dataset.train, name, batch_size)


def refuse_lazy(model: nn.Module, name: str) -> None:
    """Refuse a model with parameters that its first batch would make.

    Raises:
        GratisError: it has such parameters.
    """
    lazy = [key for key, value in model.named_parameters() if is_lazy(value)]
    if lazy:
        problem = f"has layers that are not initialised ({lazy[0]})"
        raise _refusal(name, f"{problem}; run it on a batch of images first")


def model_logits(model: nn.Module, images: Tensor, name: str) -> Tensor:
    """Return the logits of images (n, 3, height, width); ``name`` is the model's, for messages.

    Raises:
        GratisError: the model fails, runs out of memory or returns something else.
    """
    shape = "x".join(map(str, images.shape[1:]))
    try:
        output: Any = model(images)
    except torch.OutOfMemoryError as error:
        problem = f"runs out of memory on {len(images)} images of {shape}"
        raise _refusal(name, f"{problem}; use a device with more memory") from error
    except Exception as error:
        problem = f"fails on images of {shape} ({type(error).__name__}: {error})"
        raise _refusal(name, f"{problem}; {_remedy(model, str(error))}") from error
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(logits, Tensor):
        raise _refusal(
            name, f"returns {type(output).__name__}; return the logits, or an object with logits"
        )
    return logits


def _remedy(model: nn.Module, error: str) -> str:
    """Return what to do about a model that fails on its images, as far as the error tells."""
    kinds = {p.dtype for p in model.parameters() if p.is_floating_point()} - {torch.float32}
    if kinds and "type" in error:
        kind = ", ".join(sorted(str(each).removeprefix("torch.") for each in kinds))
        return f"its weights are {kind}: pass model.float()"
    if found := _CHANNELS.search(error):
        return f"it takes {found[1]} channels: take 3, and convert the images inside the model"
    return "resize inside the model, or use --input-size"


def _refuse_output(outputs: Sequence[Tensor], classes: int, name: str, attacks: bool) -> None:
    for logits in outputs:
        if logits.ndim != 2 or logits.shape[1] != classes:
            raise _refusal(
                name,
                f"returns {'x'.join(map(str, logits.shape))} numbers, not one for each image "
                f"and each of the {classes} classes; use the data that it was trained on, or "
                "select the classes inside the model",
            )
    logits = torch.cat(list(outputs))
    if not logits.isfinite().all():
        raise _refusal(name, "returns numbers that are not finite; check its weights")
    # Probabilities do no harm where nothing needs their gradient.
    if not attacks or ((logits < 0) | (logits > 1)).any():
        return
    if ((logits.sum(1) - 1).abs() <= _ROUNDING).all():
        found, layer = "probabilities", "softmax"
    elif logits.numel() >= _MANY:
        found, layer = "scores in [0, 1]", "sigmoid"
    else:
        return
    raise _refusal(
        name, f"returns {found}, whose gradients vanish; return the logits: leave out the {layer}"
    )


def _refuse_batch_dependence(model: nn.Module, images: Tensor, logits: Tensor, name: str) -> None:
    """Refuse a model whose logits for an image depend on the other images of its batch.

    The model is asked about a few images in the batch that gave ``logits``, in a smaller one, and
    one by one. A model that gives other logits each time is left to the sanity checks.
    """
    every = max(1, len(images) // _ALONE)
    few, expected = images[::every][:_ALONE], logits[::every][:_ALONE]
    remedy = "give batch norm its running statistics, and compute no mean over a batch"
    try:
        fewer, again = (logits_of(model(few)) for _ in range(2))
        answers = [logits_of(model(image)) for image in few.split(1)]
    except Exception as error:
        problem = f"fails on smaller batches, down to one image ({type(error).__name__}: {error})"
        raise _refusal(name, f"{problem}; take batches of any size, and {remedy}") from error
    alone = _joined(answers, expected.shape[1], name)
    if _change(fewer, again) > _CHANGE:
        return
    found = max(_change(expected, fewer), _change(expected, alone))
    if found > _CHANGE:
        raise _refusal(
            name,
            "gives an image other logits when the rest of its batch is different (they change by "
            f"{found:.0%} of their range); {remedy}",
        )


def _joined(answers: Sequence[Tensor], classes: int, name: str) -> Tensor:
    """Return the logits of several batches of one image, (n, classes)."""
    for logits in answers:
        if logits.shape != (1, classes):
            found = "x".join(map(str, logits.shape))
            problem = f"returns {found} numbers for one image, where 1x{classes} are right"
            raise _refusal(name, f"{problem}; keep the dimension of the batch, which squeeze drops")
    return torch.cat(list(answers))


def _change(logits: Tensor, other: Tensor) -> float:
    """Return the largest change of the logits of an image, as a share of their range; a mean."""
    logits, other = logits.double(), other.double()
    # Logits that are all equal differ by rounding only.
    least = (_EQUAL * logits.abs().amax(1)).clamp(min=torch.finfo(torch.float64).tiny)
    spread = torch.maximum(logits.amax(1) - logits.amin(1), least)
    return float(((logits - other).abs().amax(1) / spread).clamp(max=1).mean())


def _refuse_without_gradient(
    evaluated: EvaluatedModel, images: Tensor, labels: Tensor, name: str
) -> None:
    try:
        input_gradient(evaluated.classify, images, labels)
    except (NoGradientError, RuntimeError) as error:
        reason = "" if isinstance(error, NoGradientError) else f" ({error})"
        raise _refusal(
            name,
            f"has no gradient with respect to its input{reason}; measure it with --suite "
            "transfer, or remove the operations without a gradient, such as detach or rounding "
            "to integers",
        ) from error


def _refusal(name: str, problem: str) -> GratisError:
    """Return an error on one line, even if the model's own message has more."""
    return GratisError(printable(f"{name}: {problem}"))
