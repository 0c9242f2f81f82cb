"""A sanity check of the gradient itself: finite differences of the loss along several directions.

An attack follows the gradient that the model returns. A model whose gradient is not that of its
loss survives such attacks without being robust, whatever hides the gradient. Random directions find
what a gradient leaves out; its own direction, the one that attacks take, finds what it adds.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gratis.attacks import margin
from gratis.attacks.pgd import loss_gradient
from gratis.evaluation.evaluated_model import EvaluatedModel, ImageBatch
from gratis.seeds import generator

# Random sign directions for each image.
DIRECTIONS = 4
# Half of the difference of a pixel value. Rounding hides short steps of models in half precision,
# and a rough model is linear on short steps only, so the best agreement counts.
STEPS = (2.5 / 255, 0.25 / 255, 0.0025 / 255)

# Changes of the loss, (steps, 2, n, DIRECTIONS + 1): those measured and those that the gradient
# predicts, along the random directions and, last, along the signs of the gradient.
Changes = NDArray[np.float64]


def loss_changes(evaluated: EvaluatedModel, batch: ImageBatch) -> Changes:
    """Return how much the loss of each image changes along random directions and its gradient.

    The loss is the margin, which does not saturate where the model is confident. It is measured
    under ``no_grad``, so a model that computes something else for its gradient is found too.
    """
    if len(batch.labels) == 0:
        return np.empty((len(STEPS), 2, 0, DIRECTIONS + 1))
    directions = _random(batch, evaluated.seed)
    return np.stack([_changes(evaluated, batch, directions, step) for step in STEPS])


def agreement(changes: Changes) -> float:
    """Return the correlation of changes along random directions, at the step where it is highest.

    It is taken about zero, and each image has the same weight. Steps on which the loss of most
    images does not change do not count; without any other it is 1.
    """
    changes = _that_move(changes)[..., :DIRECTIONS]
    return max((_correlation(*at_one_step) for at_one_step in changes), default=1.0)


def along_gradient(changes: Changes) -> float:
    """Return the measured over the predicted change along the gradient, where it is nearest to 1.

    It is the median over the images whose gradient is not zero. Steps count as for
    :func:`agreement`; without any other it is 1.
    """
    measured, predicted = np.moveaxis(_that_move(changes)[..., DIRECTIONS], 1, 0)
    pairs = ((m[p > 0], p[p > 0]) for m, p in zip(measured, predicted, strict=True))
    ratios = [float(np.median(m / p)) for m, p in pairs if len(p)]
    return min(ratios, key=lambda ratio: abs(ratio - 1), default=1.0)


def _that_move(changes: Changes) -> Changes:
    """Return the steps on which the loss of most images changes."""
    found: Changes = changes[(changes != 0).any((1, 3)).sum(1) > changes.shape[2] / 2]
    return found


def _changes(
    evaluated: EvaluatedModel, batch: ImageBatch, directions: list[Tensor], step: float
) -> Changes:
    # Both ends of a step are inside [0, 1]: what a model does outside does not matter.
    images = batch.images.clamp(step, 1 - step)
    gradient = loss_gradient(evaluated.classify, images, batch.labels, "margin")[0].double()
    measured, predicted = [], []
    with torch.no_grad():
        for direction in (*directions, gradient.sign().to(images)):
            up, down = (
                margin(evaluated.classify(images + way * step * direction), batch.labels).double()
                for way in (1, -1)
            )
            measured.append(up - down)
            predicted.append(2 * step * (gradient * direction).sum((1, 2, 3)))
    both = torch.stack([torch.stack(changes, 1) for changes in (measured, predicted)])
    found: Changes = both.nan_to_num(0, 0, 0).cpu().numpy()
    return found


def _random(batch: ImageBatch, seed: int) -> list[Tensor]:
    """Return random signs, a tensor like the images for each direction."""
    directions = []
    for draw in range(DIRECTIONS):
        signs = torch.empty(batch.images.shape, device="cpu")
        for row, index in enumerate(batch.indices.tolist()):
            source = generator("cpu", "directional derivatives", seed, draw, index)
            signs[row] = 2 * torch.randint(2, signs.shape[1:], generator=source, device="cpu") - 1
        directions.append(signs.to(batch.images))
    return directions


def _correlation(measured: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    size = np.sqrt(np.maximum((measured**2).sum(1), (predicted**2).sum(1)))
    moves = size > 0
    one, other = (changes[moves] / size[moves, None] for changes in (measured, predicted))
    energy = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / energy) if energy > 0 else 0.0
