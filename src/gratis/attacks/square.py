"""Square Attack in L-infinity (Andriushchenko et al. 2020): a random search without gradients.

It asks the model for logits only, so a model that hides its gradient does not survive it for that
reason.
"""

import math
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from gratis.attacks.losses import is_correct, margin
from gratis.attacks.pgd import Classify
from gratis.seeds import generator
from gratis.settings import Fraction, Settings
from gratis.torch_state import fresh_torch_state

# The share of the pixels that the first squares cover. It is halved after these numbers of queries
# of 10,000, and at the same progress of a shorter search (section 3 and appendix B of the paper).
_FIRST_SHARE = 0.8
_HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


class SquareSettings(Settings):
    """How far Square Attack searches.

    Attributes:
        epsilon: the largest change of a pixel value, in [0, 1].
        queries: the number of squares that are tried, after the first point.
    """

    epsilon: Annotated[Fraction, Field(ge=0, le=1)]
    queries: Annotated[int, Field(ge=0)] = 200


class _Draws(NamedTuple):
    """What is drawn for n images: the first stripes, then a place and a colour for each query.

    Attributes:
        stripes: (n, 3, 1, W), the sign of every column.
        places: (n, queries, 2) in [0, 1), the top and left edge as shares of what is possible.
        signs: (n, queries, 3), the sign of every channel.
    """

    stripes: Tensor
    places: Tensor
    signs: Tensor

    def take(self, rows: Tensor) -> "_Draws":
        return _Draws(*(drawn[rows] for drawn in self))


def square_attack(
    classify: Classify,
    images: Tensor,
    labels: Tensor,
    settings: SquareSettings,
    seed: int = 0,
    indices: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return adversarial images (n, 3, H, W), and whether each fools the classifier, (n,).

    A query recolours a random square of each image to plus or minus epsilon, and keeps it
    where the margin loss does not fall. Unlike in the paper, an equal loss is accepted too: clamped
    or rounded logits leave the loss of most squares as it is. The search of an image ends when
    it is fooled. Draws are keyed by (seed, index), so that an image gets the same in every batch.

    Args:
        classify: images to logits; needs no gradient.
        images: (n, 3, H, W) in [0, 1].
        labels: (n,) class numbers.
        settings: epsilon and the number of queries.
        seed: the seed of the draws.
        indices: (n,) the number of each image in its data set. Default: 0 to n - 1.
    """
    with fresh_torch_state(images.device), torch.no_grad():
        images, best = images.clone(), images.clone()
        if indices is None:
            indices = torch.arange(len(labels), device="cpu")
        fooled = torch.zeros_like(labels, dtype=torch.bool)
        rows = torch.arange(len(labels), device=labels.device)
        draws = _draw(images, settings.queries, seed, indices)
        found = (images + settings.epsilon * draws.stripes).clamp(0, 1)
        highest = torch.full_like(labels, -torch.inf, dtype=torch.float32)
        for query in range(settings.queries + 1):
            if len(rows) == 0:
                break
            if query:
                found = _recoloured(images[rows], best[rows], draws, query - 1, settings.epsilon)
            logits = classify(found)
            loss, right = margin(logits, labels[rows]), is_correct(logits, labels[rows])
            better = ~right | (loss >= highest[rows])
            best[rows[better]], highest[rows[better]] = found[better], loss[better]
            fooled[rows[~right]] = True
            if not right.all():
                left = right.nonzero().squeeze(1)
                rows, draws = rows[left], draws.take(left)
        return best, fooled


def _recoloured(images: Tensor, best: Tensor, draws: _Draws, query: int, epsilon: float) -> Tensor:
    """Return the best images so far with a new square each."""
    height, width = images.shape[2:]
    side = _side(query / draws.places.shape[1], height, width)
    top, left = (
        (draws.places[:, query, axis] * (size - side + 1)).long()[:, None, None, None]
        for axis, size in enumerate((height, width))
    )
    row = torch.arange(height, device=images.device)[:, None]
    column = torch.arange(width, device=images.device)
    inside = (row >= top) & (row < top + side) & (column >= left) & (column < left + side)
    signs = draws.signs[:, query, :, None, None]
    coloured = torch.where(inside, (images + epsilon * signs).clamp(0, 1), best)
    # A square that is there already would waste a query.
    same = (coloured == best).flatten(1).all(1)[:, None, None, None]
    opposite = torch.where(inside, (images - epsilon * signs).clamp(0, 1), best)
    return torch.where(same, opposite, coloured)


def _side(progress: float, height: int, width: int) -> int:
    """Return the side of the squares, in pixels, at this progress in [0, 1)."""
    share = _FIRST_SHARE / 2 ** sum(int(progress * 10_000) > after for after in _HALVED_AFTER)
    return min(max(round(math.sqrt(share * height * width)), 1), height, width)


def _draw(images: Tensor, queries: int, seed: int, indices: Tensor) -> _Draws:
    """Return the draws of each image, made on the CPU one image at a time."""
    stripes, places, signs = [], [], []
    for index in indices.tolist():
        source = generator("cpu", "square", seed, index)
        stripes.append(_signs(source, 3, 1, images.shape[3]))
        places.append(torch.rand((queries, 2), generator=source, device="cpu", dtype=torch.float32))
        signs.append(_signs(source, queries, 3))
    return _Draws(*(torch.stack(drawn).to(images) for drawn in (stripes, places, signs)))


def _signs(source: torch.Generator, *shape: int) -> Tensor:
    return 2 * torch.randint(2, shape, generator=source, device="cpu").float() - 1
