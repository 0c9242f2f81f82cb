"""What a run shows on a page: a few fixed validation images, clean, perturbed and denoised."""

from itertools import chain
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from gratis.attacks import AttackSettings, attack, frozen
from gratis.data import Dataset, to_float
from gratis.errors import file_error
from gratis.evaluation.measure import evenly_spaced
from gratis.evaluation.suites import EvaluateSettings, tasks_of
from gratis.evaluation.tasks import GradientAttack
from gratis.model import Classifier, logits_of
from gratis.results import Measurement
from gratis.results.sample_images import Exhibit, Guess, Picture, Showing
from gratis.run.evaluation import load_run
from gratis.run.folder import RunFolder
from gratis.validation_sets import PerturbedSets, perturbed_sets

IMAGES = 6


def show(path: Path) -> Showing:
    """Return what the run in the folder ``path`` shows on a page.

    The images are the first measured ones of evenly spaced classes: the same for every run on the
    same data. Their pictures are ``clean``, ``geometric``, ``adversarial`` (by the run's own PGD,
    whatever else its suite holds), ``perturbation`` (from -epsilon, black, to epsilon, white)
    and, where the model has a denoiser, ``denoised`` (what it makes of the adversarial image).

    Raises:
        GratisError: as :func:`gratis.run.load_run`, or the run or its perturbed sets are missing.
    """
    folder = RunFolder(path)
    model, _, recipe, dataset = load_run(path)
    sets = perturbed_sets.load(folder.sets() or folder.geometric, dataset.validation)
    measured = Measurement.load(folder.correct).index
    if measured.min() < 0 or measured.max() >= len(dataset.validation):
        raise file_error(folder.correct, "is of other images", f"run: gratis evaluate {path}")
    index = _fixed(dataset.validation.labels, measured)
    how = _pgd(recipe.evaluate)
    return Showing(
        classes=dataset.classes,
        labels=dataset.validation.labels,
        attack=how.model_dump(mode="json"),
        exhibits=_exhibits(model, how, recipe.seed, dataset, sets, index),
    )


def _pgd(own: EvaluateSettings) -> AttackSettings:
    """Return PGD as the run was measured with; a suite without it shows the table's."""
    suites = (own, own.model_copy(update={"suite": "table"}))
    tasks = chain.from_iterable(map(tasks_of, suites))
    return next(t.attack for t in tasks if isinstance(t, GradientAttack) and t.name == "pgd")


def _fixed(labels: NDArray[np.int64], measured: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first measured image of up to ``IMAGES`` evenly spaced classes."""
    _, first = np.unique(labels[measured], return_index=True)
    return measured[first[evenly_spaced(len(first), IMAGES)]]


def _exhibits(
    model: Classifier,
    how: AttackSettings,
    seed: int,
    dataset: Dataset,
    sets: PerturbedSets,
    index: NDArray[np.int64],
) -> list[Exhibit]:
    device = Fabric(accelerator="auto", devices=1).device
    model.to(device).to(memory_format=torch.channels_last)
    labels = torch.from_numpy(dataset.validation.labels[index]).to(device)
    clean = to_float(dataset.validation.images[index], device)
    with frozen(model), torch.no_grad():
        adversarial = attack(
            lambda images: logits_of(model(images)),
            clean,
            labels,
            how,
            seed,
            torch.from_numpy(index),
        )
        asked = {
            "clean": clean,
            "geometric": to_float(sets.geometric[index], device),
            "adversarial": adversarial,
        }
        outputs = {name: model(images) for name, images in asked.items()}
    looks = asked | {"perturbation": _magnified(adversarial - clean, how.epsilon)}
    if (denoised := outputs["adversarial"].denoised) is not None:
        looks["denoised"] = denoised
    pictures = {name: _to_pictures(images) for name, images in looks.items()}
    guesses = {name: _guesses(output.logits, dataset) for name, output in outputs.items()}
    return [
        Exhibit(
            index=int(place),
            label=dataset.classes[int(dataset.validation.labels[place])],
            pictures={name: of_all[row] for name, of_all in pictures.items()},
            guesses={name: of_all[row] for name, of_all in guesses.items()},
        )
        for row, place in enumerate(index)
    ]


def _magnified(delta: Tensor, epsilon: float) -> Tensor:
    """Return delta so that -epsilon is black, 0 grey and epsilon white."""
    return 0.5 + delta * (0.5 / epsilon if epsilon else 0.0)


def _to_pictures(images: Tensor) -> list[Picture]:
    levels = images.clamp(0, 1).mul(255).round().to(torch.uint8)
    return list(levels.permute(0, 2, 3, 1).cpu().numpy())


def _guesses(logits: Tensor, dataset: Dataset) -> list[Guess]:
    confidences, classes = logits.float().softmax(1).max(1)
    pairs = zip(classes.tolist(), confidences.tolist(), strict=True)
    return [Guess(dataset.classes[number], confidence) for number, confidence in pairs]
