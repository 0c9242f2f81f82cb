"""The overfitting monitor: held-out training images under a weak and a stronger attack."""

import torch
from torch import Tensor, nn

from gratis.attacks import AttackSettings, attack, frozen
from gratis.model import logits_of

PGD_STEPS = 5


class OverfittingMonitor:
    """Measures clean, FGSM and PGD-5 accuracy on images that training never sees."""

    def __init__(
        self, images: Tensor, labels: Tensor, epsilon: float, seed: int, batch_size: int
    ) -> None:
        """Keep the images (n, 3, height, width) in [0, 1], their labels and the budget.

        ``batch_size`` of them are looked at together, fewer where memory does not do.
        """
        self._held_out = images, labels, torch.arange(len(labels))
        self._count, self._seed, self._size = len(labels), seed, batch_size
        self._attacks = {
            "fgsm": AttackSettings.fgsm(epsilon),
            "pgd": AttackSettings.pgd(epsilon, steps=PGD_STEPS),
        }

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return the share of the images that ``model`` gets right, by metric.

        Raises:
            torch.OutOfMemoryError: memory does not do for a single image.
        """
        while True:
            try:
                return self._look(model)
            except torch.OutOfMemoryError:
                # No line is said: how many are looked at together changes nothing.
                if self._size == 1:
                    raise
            self._size = min(self._size, self._count) // 2 or 1

    def _look(self, model: nn.Module) -> dict[str, float]:
        def classify(images: Tensor) -> Tensor:
            return logits_of(model(images))

        @torch.no_grad()
        def right(images: Tensor, labels: Tensor) -> int:
            return int((classify(images).argmax(1) == labels).sum())

        seen = dict.fromkeys(["clean", *self._attacks], 0)
        parts = [each.split(self._size) for each in self._held_out]
        with frozen(model):
            for images, labels, indices in zip(*parts, strict=True):
                seen["clean"] += right(images, labels)
                for name, settings in self._attacks.items():
                    attacked = attack(classify, images, labels, settings, self._seed, indices)
                    seen[name] += right(attacked, labels)
        return {name: count / self._count for name, count in seen.items()}
