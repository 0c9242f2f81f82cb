"""What a measurement is given."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from gratis.data import Dataset, to_float
from gratis.data.dataset import Split
from gratis.model import logits_of
from gratis.validation_sets import PerturbedSets


@dataclass(frozen=True)
class MeasuredRun:
    """A trained model in evaluation mode, with everything that a measurement may need.

    ``epsilon`` is the L-infinity bound of attacks, in [0, 1] units of pixel value; ``seed`` and
    ``path`` are those of the run.
    """

    model: nn.Module
    dataset: Dataset
    sets: PerturbedSets
    epsilon: float
    seed: int
    batch_size: int
    path: Path

    def batches(self, split: Split | None = None) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Yield the place, the images in [0, 1] and the labels of each batch of a split.

        The default is the validation split.
        """
        split = self.dataset.validation if split is None else split
        device = next(self.model.parameters()).device
        for start in range(0, len(split), self.batch_size):
            place = slice(start, min(start + self.batch_size, len(split)))
            labels = torch.from_numpy(split.labels[place].copy()).to(device)
            yield place, to_float(split.images[place], device), labels

    def accuracy(self, change: Callable[[slice, Tensor, Tensor], Tensor]) -> float:
        """Return the accuracy on the changed validation images, in percent.

        ``change`` maps a place, images and labels to images.
        """
        right = 0
        for place, images, labels in self.batches():
            changed = change(place, images, labels)
            with torch.no_grad():
                found = logits_of(self.model(changed)).argmax(dim=1)
            right += int((found == labels).sum())
        return 100 * right / len(self.dataset.validation)
