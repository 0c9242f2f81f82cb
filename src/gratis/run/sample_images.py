"""The sample images of an evaluation: clean, perturbed and denoised."""

from collections.abc import Mapping
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gratis.attacks import AttackSettings, attack, frozen
from gratis.data import Dataset, to_float
from gratis.evaluation.evaluated_model import device_of
from gratis.evaluation.measure import evenly_spaced
from gratis.evaluation.suites import EvaluateSettings, tasks_of
from gratis.evaluation.tasks import GradientAttack
from gratis.model import logits_of
from gratis.results import AtEpsilon, Prediction, SampleAttack, SampleImage, SampleImages
from gratis.results.sample_images import Kind, Picture
from gratis.torch_state import full_precision
from gratis.validation_sets import PerturbedSets

IMAGES = 6
# The epsilons of the sample images under several, as multiples of that of the attack.
_EPSILONS = (0.0, 0.25, 0.5, 1.0, 2.0)


def sample_images(
    model: nn.Module,
    dataset: Dataset,
    sets: PerturbedSets,
    settings: EvaluateSettings,
    seed: int,
    measured: NDArray[np.int64],
) -> SampleImages:
    """Return the sample images of an evaluation.

    They are the first measured image of up to six evenly spaced classes, so that all models on the
    same data show the same images. The attack is the suite's own PGD, or that of the suite
    ``table``; a model without gradients has no adversarial pictures.
    """
    labels = dataset.validation.labels
    _, first = np.unique(labels[measured], return_index=True)
    index = measured[first[evenly_spaced(len(first), IMAGES)]]
    with frozen(model):
        pgd = _pgd(settings) if _differentiable(model, dataset, index[:1]) else None
        # One by one: all together they may not fit into memory.
        images = [_sample(model, dataset, sets, pgd, seed, one) for one in index[:, None]]
    stored = None if pgd is None else SampleAttack.model_validate(pgd.model_dump(mode="json"))
    return SampleImages(dataset.classes, labels, stored, images)


def _pgd(own: EvaluateSettings) -> AttackSettings:
    suites = (own, own.model_copy(update={"suite": "table"}))
    tasks = chain.from_iterable(map(tasks_of, suites))
    return next(t.attack for t in tasks if isinstance(t, GradientAttack) and t.name == "pgd")


def _differentiable(model: nn.Module, dataset: Dataset, index: NDArray[np.int64]) -> bool:
    images = to_float(dataset.validation.images[index], device_of(model)).requires_grad_()
    with torch.enable_grad():
        return logits_of(model(images)).requires_grad


def _sample(
    model: nn.Module,
    dataset: Dataset,
    sets: PerturbedSets,
    pgd: AttackSettings | None,
    seed: int,
    index: NDArray[np.int64],
) -> SampleImage:
    """Return the sample of the one image at ``index``."""
    device, label = device_of(model), dataset.validation.labels[index]
    images: dict[Kind, Tensor] = {
        "clean": to_float(dataset.validation.images[index], device),
        "geometric": to_float(sets.geometric[index], device),
    }
    if pgd is not None:
        images["adversarial"] = attack(
            lambda batch: logits_of(model(batch)),
            images["clean"],
            torch.from_numpy(label).to(device),
            pgd,
            seed,
            torch.from_numpy(index),
        )
    with torch.no_grad(), full_precision(device):
        outputs = {kind: model(batch) for kind, batch in images.items()}
    if pgd is not None:
        delta = images["adversarial"] - images["clean"]
        images["perturbation"] = 0.5 + delta * (0.5 / pgd.epsilon if pgd.epsilon else 0.0)
        if (denoised := getattr(outputs["adversarial"], "denoised", None)) is not None:
            images["denoised"] = denoised
    growing = []
    if pgd is not None and pgd.epsilon:
        known = {0.0: images["clean"], 1.0: images["adversarial"]}
        growing = _at_epsilons(model, dataset, pgd, seed, index, known)
    return SampleImage(
        index=int(index[0]),
        label=dataset.classes[int(label[0])],
        pictures={kind: _picture(batch) for kind, batch in images.items()},
        predictions={kind: _predict(output, dataset) for kind, output in outputs.items()},
        at_epsilons=growing,
    )


def _at_epsilons(
    model: nn.Module,
    dataset: Dataset,
    pgd: AttackSettings,
    seed: int,
    index: NDArray[np.int64],
    known: Mapping[float, Tensor],
) -> list[AtEpsilon]:
    """Return the one image at ``index`` under the attack with growing epsilons.

    ``known`` are those that exist already, by the multiple of epsilon.
    """
    device, label = device_of(model), dataset.validation.labels[index]
    found = []
    for times in _EPSILONS:
        epsilon = min(times * pgd.epsilon, 1.0)
        step = None if pgd.step_size is None else times * pgd.step_size
        image = known.get(times)
        if image is None:
            image = attack(
                lambda batch: logits_of(model(batch)),
                known[0.0],
                torch.from_numpy(label).to(device),
                pgd.model_copy(update={"epsilon": epsilon, "step_size": step}),
                seed,
                torch.from_numpy(index),
            )
        with torch.no_grad(), full_precision(device):
            output = model(image)
        found.append(AtEpsilon(epsilon, _picture(image), _predict(output, dataset)))
    return found


def _picture(image: Tensor) -> Picture:
    levels: Picture = image[0].clamp(0, 1).mul(255).round().to(torch.uint8).cpu().numpy()
    return np.ascontiguousarray(levels.transpose(1, 2, 0))


def _predict(output: Tensor, dataset: Dataset) -> Prediction:
    confidence, number = logits_of(output)[0].float().softmax(0).max(0)
    return Prediction(name=dataset.classes[int(number)], confidence=min(1.0, float(confidence)))
