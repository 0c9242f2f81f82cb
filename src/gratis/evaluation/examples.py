"""Adversarial examples: collected from an evaluation, and evaluated again on any model."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gratis.attacks import BALLS, frozen
from gratis.data.batches import to_float
from gratis.data.dataset import Split
from gratis.errors import GratisError, file_error
from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.results import Examples
from gratis.torch_state import fresh_torch_state

_OTHER = "evaluate the run that the examples were made for"


def collect(
    evaluated: EvaluatedModel,
    index: NDArray[np.int64],
    found: dict[int, NDArray[np.float32] | NDArray[np.uint8]],
    epsilon: float,
) -> Examples:
    """Return the images at ``index``, with those in ``found`` replaced by adversarial examples."""
    split = evaluated.split
    images: NDArray[Any] = np.array(split.images[index])
    if evaluated.example_format == "float32":
        images = np.ascontiguousarray(to_float(images, "cpu").numpy())
    for row, i in enumerate(index.tolist()):
        if i not in found:
            continue
        if found[i].shape != images[row].shape:
            remedy = "delete the folder 'evaluation' and evaluate again"
            raise GratisError(f"the stored example of image {i} has another size; {remedy}")
        images[row] = found[i]
    return Examples(images, index, split.labels[index], epsilon)


def rescore(
    model: nn.Module, split: Split, examples: Examples, path: Path, batch_size: int
) -> NDArray[np.bool_]:
    """Return whether the model classifies each example correctly, (n,), in plain float32."""
    n, shape = len(split), split.images.shape[1:]
    expected = shape if examples.images.dtype == np.uint8 else (shape[2], *shape[:2])
    index = examples.index
    if (
        examples.images.shape[1:] != expected
        or not ((index >= 0) & (index < n)).all()
        or (split.labels[index] != examples.labels).any()
    ):
        raise file_error(path, "was made from another validation split", _OTHER)
    evaluated = EvaluatedModel(model, split, {}, seed=0)
    correct = np.empty(len(index), dtype=np.bool_)
    with fresh_torch_state(evaluated.device), frozen(model):
        for start in range(0, len(index), batch_size):
            rows = slice(start, start + batch_size)
            batch = evaluated.batch_at(index[rows])
            images = _floats(examples.images[rows], evaluated.device)
            inside = BALLS["linf"].contains(images - batch.images, examples.epsilon)
            allowed = inside & ((images >= 0) & (images <= 1)).flatten(1).all(1)
            if not allowed.all():
                first = int(index[rows][int((~allowed).nonzero()[0])])
                problem = f"the example of image {first} is outside epsilon or [0, 1]"
                raise file_error(path, problem, _OTHER)
            correct[rows] = evaluated.is_correct(images, batch.labels).cpu().numpy()
    return correct


def _floats(images: NDArray[Any], device: torch.device) -> torch.Tensor:
    if images.dtype == np.uint8:
        return to_float(images, device)
    return torch.from_numpy(np.ascontiguousarray(images)).to(
        device, memory_format=torch.channels_last
    )
