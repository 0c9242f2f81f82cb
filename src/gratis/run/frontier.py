"""The frontier of a hardened run: measured on held-out training images, and one model chosen.

Weights between the natural and the hardened model give a curve of clean against robust accuracy
without any training (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
"""

import logging
from typing import NamedTuple, Self

import torch
from torch import Tensor

from gratis.attacks import AttackSettings, Norm
from gratis.data import Dataset, hold_out
from gratis.evaluation.curve import measure_curve
from gratis.evaluation.measure import evenly_spaced
from gratis.model import Classifier
from gratis.recipe import Recipe
from gratis.results import Frontier, FrontierPoint, choose
from gratis.run.build import build_model
from gratis.run.folder import RunFolder
from gratis.run.interpolation import estimate_statistics, interpolate
from gratis.run.launch import own_device
from gratis.torch_state import fresh_torch_state
from gratis.training import checkpoint, weights_file
from gratis.training.identity import RunIdentity

logger = logging.getLogger(__name__)

# More of them near the hardened model, where robustness changes most.
ALPHAS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
PGD_STEPS = 5
# Held-out images that are measured: at most, and at least.
IMAGES, FEWEST = 400, 100
# Measuring may cost this share of the passes of training.
_COST = 0.15
# The curve of each model has epsilons at these shares of the target.
_SHARES = (0.5, 1.0)

StateDict = dict[str, Tensor]


def choose_model(
    folder: RunFolder, dataset: Dataset, natural: StateDict, identity: RunIdentity
) -> None:
    """Measure the frontier of a trained run, and write it and the weights of the chosen model.

    Nothing is measured twice: an interrupted measurement continues, and another ``keep_clean`` only
    chooses again. Another epsilon of the evaluation is measured anew.
    """
    recipe = folder.recipe()
    assert recipe.harden is not None
    asked = _Asked.of(recipe)
    if folder.chosen.exists() and asked.answered_by(folder.frontier()):
        return
    device = own_device()
    with fresh_torch_state(device):
        models = _Models(recipe, dataset, natural, folder, identity, device)
        points = tuple(models.measured(alpha) for alpha in ALPHAS)
        best = choose(points, asked.keep_clean)
        chosen = models.at(best.alpha).state_dict()
    found = Frontier(**asked._asdict(), images=len(models.split), points=points, chosen=best.alpha)
    # Earlier results may be those of another choice, and after a kill the frontier must not stand
    # beside the weights of another one.
    folder.results_file.unlink(missing_ok=True)
    folder.chosen.unlink(missing_ok=True)
    found.write(folder.frontier_file)
    weights_file.write(folder.chosen, chosen, identity)
    logger.info(_summary(found))


class _Asked(NamedTuple):
    """What a frontier is measured and chosen by, under the names of its fields."""

    epsilon: float
    norm: Norm
    pgd_steps: int
    keep_clean: float | None

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        """Return what a recipe asks for: its norm is that of the training."""
        assert recipe.harden is not None
        norm, epsilon = recipe.target
        return cls(epsilon, norm, PGD_STEPS, recipe.harden.keep_clean)

    @property
    def attack(self) -> AttackSettings:
        """The attack at the target."""
        return AttackSettings(epsilon=self.epsilon, norm=self.norm, steps=self.pgd_steps)

    def answered_by(self, found: Frontier) -> bool:
        """Return whether a frontier has been measured and chosen by this."""
        return all(getattr(found, name) == value for name, value in self._asdict().items())


class _Models:
    """The models of a frontier, one at a time."""

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        natural: StateDict,
        folder: RunFolder,
        identity: RunIdentity,
        device: torch.device,
    ) -> None:
        self._natural, self._dataset, self._folder = natural, dataset, folder
        self._recipe, self._attack = recipe, _Asked.of(recipe).attack
        self._model: Classifier = build_model(recipe, dataset.classes)
        position = checkpoint.load_weights(folder.checkpoint, self._model, identity)
        self._hardened = {k: v.clone() for k, v in self._model.state_dict().items()}
        self._model.to(device)
        self._training, held_out = hold_out(dataset.train, recipe.train.held_out_per_class)
        images = _affordable(position.passes)
        self.split = dataset.train.take(held_out[evenly_spaced(len(held_out), images)])

    def at(self, alpha: float) -> Classifier:
        """Return the model whose weights are this share of the hardened ones."""
        self._model.load_state_dict(interpolate(self._natural, self._hardened, alpha))
        if 0 < alpha < 1:
            estimate_statistics(self._model, self._dataset, self._training)
        return self._model.eval()

    def measured(self, alpha: float) -> FrontierPoint:
        """Return the accuracies of the model at ``alpha``."""
        target = self._attack.epsilon
        logger.info(f"frontier: the model with {alpha:.0%} of the hardened weights")
        curve = measure_curve(
            self.at(alpha),
            self.split,
            self._attack,
            tuple(share * target for share in _SHARES),
            self._recipe.seed,
            self._folder.frontier_cache,
        )
        return FrontierPoint(alpha=alpha, curve=curve)


def _affordable(passes: float) -> int:
    """Return how many images to measure after so many passes of training."""
    of_an_image = len(ALPHAS) * len(_SHARES) * PGD_STEPS
    return max(FEWEST, min(IMAGES, int(_COST * passes / of_an_image)))


def _summary(found: Frontier) -> str:
    best, natural = found.chosen_point, found.points[0]
    return (
        f"chosen: {best.alpha:.0%} of the hardened weights; on {found.images} held-out images "
        f"{best.clean:.1%} clean and {best.pgd:.1%} PGD, natural {natural.clean:.1%} and "
        f"{natural.pgd:.1%}"
    )
