"""The monitor of catastrophic overfitting: accuracy on held-out images, attacked and not."""

import torch
from torch import Tensor, nn

from gratis import ranks
from gratis.attacks import AttackSettings, Norm, attack, frozen, is_correct
from gratis.errors import GratisError
from gratis.model import logits_of

PGD_STEPS = 5
# Roughly what an image costs in passes of training: an attack needs no gradient of the weights.
PASSES = 5.0
# The most images to show.
_EXAMPLES = 8


class OverfittingMonitor:
    """Measures clean, FGSM and PGD-5 accuracy on images that are held out of training.

    Attributes:
        images: the number of images.
        guessing: the accuracy of always naming their most frequent class.
        examples: (n, 3, height, width) in [0, 1], a few of the images and the same under PGD, as
            the last call saw them; empty before.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        epsilon: float,
        seed: int,
        batch_size: int,
        norm: Norm = "linf",
    ) -> None:
        """Keep the held-out images.

        Args:
            images: (n, 3, height, width) in [0, 1].
            labels: (n,).
            epsilon: the norm of the attacks, in [0, 1] units of pixel value.
            seed: the seed of the attacks' random starts.
            batch_size: the most images in a batch; halved when the device runs out of memory.
            norm: that of the training.
        """
        if len(labels) < ranks.world_size():
            raise GratisError(
                f"train.held_out_per_class: {len(labels)} images for {ranks.world_size()} devices; "
                "hold out more, or none"
            )
        # Every rank measures a part of them.
        own = slice(ranks.rank(), None, ranks.world_size())
        self._held_out = images[own], labels[own], torch.arange(len(labels))[own]
        self._seed, self._batch_size = seed, batch_size
        self.examples = images[:0], images[:0]
        self.images, self.guessing = len(labels), float(labels.bincount().max() / len(labels))
        self._attacks = {
            "fgsm": AttackSettings(
                epsilon=epsilon, norm=norm, steps=1, step_size=epsilon, random_start=False
            ),
            "pgd": AttackSettings(epsilon=epsilon, norm=norm, steps=PGD_STEPS),
        }

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return the accuracies ``clean``, ``fgsm`` and ``pgd`` of ``model``, in [0, 1].

        Raises:
            torch.OutOfMemoryError: a single image does not fit the device's memory.
        """
        while True:
            try:
                return self._measure(model)
            except torch.OutOfMemoryError:
                # Not logged: the batch size does not change the result.
                if self._batch_size == 1:
                    raise
            self._batch_size = min(self._batch_size, self.images) // 2 or 1

    def _measure(self, model: nn.Module) -> dict[str, float]:
        def classify(images: Tensor) -> Tensor:
            return logits_of(model(images))

        @torch.no_grad()
        def count_correct(images: Tensor, labels: Tensor) -> int:
            return int(is_correct(classify(images), labels).sum())

        correct = dict.fromkeys(["clean", *self._attacks], 0)
        batches = [tensor.split(self._batch_size) for tensor in self._held_out]
        examples: list[Tensor] = []
        with frozen(model):
            for images, labels, indices in zip(*batches, strict=True):
                correct["clean"] += count_correct(images, labels)
                for name, settings in self._attacks.items():
                    attacked = attack(classify, images, labels, settings, self._seed, indices)
                    correct[name] += count_correct(attacked, labels)
                if not examples:
                    examples = [_some(images), _some(attacked)]
        self.examples = examples[0], examples[1]
        counts = torch.tensor(list(correct.values()), device=self._held_out[0].device)
        found = ranks.sum_over_ranks(counts).tolist()
        return {name: count / self.images for name, count in zip(correct, found, strict=True)}


def _some(images: Tensor) -> Tensor:
    """Return a few images, evenly spaced, because neighbours are of one class."""
    return images[:: -(-len(images) // _EXAMPLES)].clone()
