"""What a page shows of a run beside its numbers: images, and what the model takes them for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Guess:
    """The class that a model finds most likely, by name, and its probability in [0, 1]."""

    name: str
    confidence: float


@dataclass(frozen=True)
class Exhibit:
    """One validation image and what was made of it.

    ``index`` is its place in the validation split, ``label`` its class by name. ``pictures`` are
    uint8 (height, width, 3) by what they show; ``guesses`` are those on the pictures that the
    model was asked about.
    """

    index: int
    label: str
    pictures: Mapping[str, Picture]
    guesses: Mapping[str, Guess]


@dataclass(frozen=True)
class Showing:
    """What a run shows: its classes by name, the label of every validation image, some of them.

    ``labels`` is int64 of shape (n,), each the place of a name in ``classes``; ``attack`` holds the
    settings of the attack that made the adversarial pictures, as those of a task in the results.
    """

    classes: Sequence[str]
    labels: NDArray[np.int64]
    attack: Mapping[str, Any]
    exhibits: Sequence[Exhibit]
