"""The accuracy of a model on images that are changed as a whole: scaled or resized."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.results.statistics import clearly_above_chance, mcnemar

# The accuracy that the model must gain by a change, and the p-value of all paired tests.
_GAIN, _P = 0.05, 0.05
# The accuracy after the change, in multiples of guessing: a barely trained model often gains.
_TIMES = 5


def correct_on(
    evaluated: EvaluatedModel, images: Tensor, labels: Tensor, batch_size: int
) -> NDArray[np.bool_]:
    """Return whether a model classifies each of n images correctly, (n,)."""
    pairs = zip(images.split(batch_size), labels.split(batch_size), strict=True)
    return torch.cat([evaluated.is_correct(*pair) for pair in pairs]).cpu().numpy()


def is_better(
    changed: NDArray[np.bool_], plain: NDArray[np.bool_], guessing: float, tests: int
) -> bool:
    """Return whether a change of the images helps, beyond chance in one of so many ``tests``."""
    return (
        float(changed.mean() - plain.mean()) > _GAIN
        and clearly_above_chance(float(changed.mean()), len(changed), guessing, _TIMES)
        and mcnemar(changed, plain) < _P / tests  # Bonferroni
    )


def gain_of(plain: NDArray[np.bool_], changed: NDArray[np.bool_]) -> str:
    """Return both accuracies as text, to which the change is added."""
    return (
        f"its accuracy on {len(plain)} images is {100 * plain.mean():.0f}%, and "
        f"{100 * changed.mean():.0f}%"
    )
