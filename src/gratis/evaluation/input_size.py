"""Models that expect images of another size, found by their accuracy on it."""

import torch
from torch import Tensor

from gratis.errors import GratisError, printable
from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.evaluation.input_changes import correct_on, gain_of, is_better
from gratis.model import resized
from gratis.results.statistics import clearly_above_chance

# Few, since large images take long.
_IMAGES = 64
# Sizes that networks are usually trained at, and multiples of the size of the images.
_USUAL, _MULTIPLES = (32, 64, 128, 224), (0.5, 2, 4)
_LARGEST, _SMALLEST = 256, 8


def refuse_other_size(
    evaluated: EvaluatedModel, images: Tensor, labels: Tensor, name: str, batch_size: int
) -> None:
    """Refuse a model that guesses on its images, and is right much more often on resized ones."""
    every = max(1, len(images) // _IMAGES)
    images, labels = images[::every][:_IMAGES], labels[::every][:_IMAGES]
    plain = correct_on(evaluated, images, labels, batch_size)
    guessing = float(labels.bincount().max() / len(labels))
    if clearly_above_chance(float(plain.mean()), len(plain), guessing):
        return
    own = images.shape[-1]
    sizes = {*_USUAL, *(int(own * times) for times in _MULTIPLES)} - {own}
    for size in sorted(size for size in sizes if _SMALLEST <= size <= _LARGEST):
        try:
            changed = correct_on(evaluated, resized(images, size), labels, batch_size)
        except torch.OutOfMemoryError:
            return
        except Exception:  # noqa: S112  # the model takes no images of this size
            continue
        if is_better(changed, plain, guessing, len(sizes)):
            problem = f"expects images of {size}x{size} px: {gain_of(plain, changed)} if they are"
            raise GratisError(
                printable(f"{name}: {problem} resized from {own}x{own}; resize inside the model, ")
                + f"or use --input-size {size}"
            )
