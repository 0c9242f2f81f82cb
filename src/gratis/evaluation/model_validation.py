"""Validation of a model before it is measured: models that need a change are refused."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from gratis.attacks import NoGradientError, frozen
from gratis.attacks.pgd import raw_loss_gradient
from gratis.data.dataset import Dataset
from gratis.evaluation.batch_dependence import refusal, refuse_batch_dependence
from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.evaluation.input_mismatch import (
    LabelledImages,
    refuse_other_scale,
    refuse_other_size,
)
from gratis.evaluation.scores import scores
from gratis.torch_state import fresh_torch_state, full_precision

# How torch names another number of channels.
_CHANNELS = re.compile(r"to have (\d+) channels, but got 3 channels")
# The number of labelled images that show whether a model expects another input.
_IMAGES = 200
# A change of every pixel value that is small and not 0.
_STEP = 0.002


def validate_model(
    model: nn.Module, dataset: Dataset, name: str, attacks: bool, batch_size: int
) -> None:
    """Refuse a model that does not map images in [0, 1] to logits.

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
    with fresh_torch_state(device), frozen(model), full_precision(device):
        images, labels, _ = evaluated.batch_at(index)
        with torch.no_grad():
            outputs = [model_logits(model, part, name) for part in images.split(batch_size)]
            logits = _checked_shape(outputs, len(dataset.classes), name)
            # First: a softmax over the batch is not one over the classes.
            refuse_batch_dependence(model, images[:batch_size], outputs[0], name)
            # Probabilities do no harm where nothing needs their gradient.
            if attacks:
                _refuse_scores(logits, name)
        if attacks:
            _refuse_without_gradient(evaluated, images[:1], labels[:1], name)
        given = LabelledImages(evaluated, images, labels, batch_size)
        refuse_other_size(given, name)
        refuse_other_scale(given, dataset.train, name)


def refuse_lazy(model: nn.Module, name: str) -> None:
    """Refuse a model with parameters that its first batch would make, or that have no values.

    Raises:
        GratisError: it has such parameters.
    """
    lazy = [key for key, value in model.named_parameters() if is_lazy(value)]
    if lazy:
        problem = f"has layers that are not initialised ({lazy[0]})"
        raise refusal(name, f"{problem}; run it on a batch of images first")
    empty = [
        key for key, value in (*model.named_parameters(), *model.named_buffers()) if value.is_meta
    ]
    if empty:
        raise refusal(name, f"has no values in {empty[0]} (device meta); load its weights first")


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
        raise refusal(name, f"{problem}; use a device with more memory") from error
    except Exception as error:
        problem = f"fails on images of {shape} ({type(error).__name__}: {error})"
        raise refusal(name, f"{problem}; {_remedy(model, str(error))}") from error
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(logits, Tensor):
        raise refusal(
            name, f"returns {type(output).__name__}; return the logits, or an object with logits"
        )
    return logits


def _remedy(model: nn.Module, error: str) -> str:
    """Return what to do about a model that fails on its images, as far as the error tells."""
    kinds = {p.dtype for p in model.parameters() if p.is_floating_point()} - {torch.float32}
    if kinds and "type" in error:
        kind = ", ".join(sorted(str(each).removeprefix("torch.") for each in kinds))
        return f"its weights are {kind}: pass model.float()"
    if "size()[0]" in error:
        return "it was exported for one batch size: export it with torch.export.Dim for the batch"
    if found := _CHANNELS.search(error):
        return f"it takes {found[1]} channels: take 3, and convert the images inside the model"
    return "resize inside the model, or use --input-size"


def _checked_shape(outputs: Sequence[Tensor], classes: int, name: str) -> Tensor:
    """Return the logits of all batches, (n, classes)."""
    for logits in outputs:
        if logits.ndim != 2 or logits.shape[1] != classes:
            raise refusal(
                name,
                f"returns {'x'.join(map(str, logits.shape))} numbers, not one for each image "
                f"and each of the {classes} classes; use the data that it was trained on, or "
                "select the classes inside the model",
            )
    logits = torch.cat(list(outputs))
    if not logits.isfinite().all():
        raise refusal(name, "returns numbers that are not finite; check its weights")
    return logits


def _refuse_scores(logits: Tensor, name: str) -> None:
    found = scores(logits.float())
    if found is not None:
        kind, layer = found
        raise refusal(
            name,
            f"returns {kind}, whose gradients vanish; return the logits: leave out the {layer}",
        )


def _refuse_without_gradient(
    evaluated: EvaluatedModel, images: Tensor, labels: Tensor, name: str
) -> None:
    # Some gradients are not finite at a clean image only, such as those of a distance of 0.
    both = torch.cat([images, (images + _STEP).clamp(max=1 - _STEP)])
    try:
        gradient, _ = raw_loss_gradient(evaluated.classify, both, labels.repeat(2), "cross_entropy")
    except (NoGradientError, RuntimeError) as error:
        reason = "" if isinstance(error, NoGradientError) else f" ({error})"
        raise refusal(
            name,
            f"has no gradient with respect to its input{reason}; measure it with --suite "
            "transfer, or remove the operations without a gradient, such as detach or rounding "
            "to integers",
        ) from error
    if not gradient.isfinite().any():
        raise refusal(
            name,
            "has a gradient with respect to its input that is not finite at any pixel; add a small "
            "number inside of square roots, norms and logarithms",
        )
