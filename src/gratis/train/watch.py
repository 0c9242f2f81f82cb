"""The overfitting watch: held-out training images under a weak and a stronger attack."""

import torch
from torch import Tensor, nn

from gratis.model import logits_of
from gratis.perturb import AttackSettings, attack, frozen

PGD_STEPS = 5


class Watch:
    """Measures clean, FGSM and PGD-5 accuracy on images that training never sees."""

    def __init__(self, images: Tensor, labels: Tensor, epsilon: float, seed: int) -> None:
        """Keep the images (n, 3, height, width) in [0, 1], their labels and the budget."""
        self._images, self._labels, self._seed = images, labels, seed
        self._attacks = {
            "fgsm": AttackSettings.fgsm(epsilon),
            "pgd": AttackSettings.pgd(epsilon, steps=PGD_STEPS),
        }

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """Return the share of the images that ``model`` gets right, by metric."""
        indices = torch.arange(len(self._labels))

        def classify(images: Tensor) -> Tensor:
            return logits_of(model(images))

        with frozen(model):
            shown = {"clean": self._images} | {
                name: attack(classify, self._images, self._labels, settings, self._seed, indices)
                for name, settings in self._attacks.items()
            }
            with torch.no_grad():
                return {
                    name: float((classify(images).argmax(1) == self._labels).float().mean())
                    for name, images in shown.items()
                }
