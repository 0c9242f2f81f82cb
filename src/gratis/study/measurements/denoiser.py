"""What a trained denoiser does: is it the identity, and what does it remove of a perturbation?

The perturbed images are those of the fixed sets, the same for every model. A model without a
denoiser counts as one whose denoiser is the identity.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gratis.data import to_float
from gratis.model import Classifier
from gratis.study.measurements.base import MeasuredRun

NAMES = {
    "changed_clean": "root mean square change of clean images by the denoiser, in 1/255",
    "changed_fgsm": "the same of images under FGSM on the baseline",
    "removed_fgsm": "percent of the squared error of FGSM that the denoiser removes; below 0 it "
    "adds to it",
    "removed_geometric": "percent of the squared error of geometric noise that it removes",
    "bypassed_clean": "clean accuracy of the classifier without its denoiser",
    "bypassed_transfer": "the same under FGSM on the baseline",
    "transfer_accuracy": "accuracy under FGSM on the baseline, with the denoiser",
}


def measure(run: MeasuredRun) -> dict[str, float]:
    """Return the distances and accuracies; those on FGSM only if the sets have it."""
    geometric, transfer = run.sets.geometric, run.sets.transfer
    found = {
        "changed_clean": 255 * _squared(run, None, _change) ** 0.5,
        "removed_geometric": _removed(run, geometric),
    }
    if transfer is not None:
        found["changed_fgsm"] = 255 * _squared(run, transfer, _change) ** 0.5
        found["removed_fgsm"] = _removed(run, transfer)
        found["transfer_accuracy"] = run.accuracy(_shown(transfer))
    return found | _bypassed(run, transfer)


def _bypassed(run: MeasuredRun, transfer: NDArray[np.uint8] | None) -> dict[str, float]:
    """Return the accuracies with the identity in place of the denoiser."""
    model = run.model
    assert isinstance(model, Classifier)
    denoiser, model.denoiser = model.denoiser, None
    try:
        found = {"bypassed_clean": run.accuracy(lambda _, images, __: images)}
        if transfer is not None:
            found["bypassed_transfer"] = run.accuracy(_shown(transfer))
    finally:
        model.denoiser = denoiser
    return found


def _shown(images: NDArray[np.uint8]) -> Callable[[slice, Tensor, Tensor], Tensor]:
    return lambda place, clean, _: to_float(images[place], clean.device)


# The arguments of the differences are the denoised, the perturbed and the clean images.
_Difference = Callable[[Tensor, Tensor, Tensor], Tensor]


def _change(denoised: Tensor, perturbed: Tensor, clean: Tensor) -> Tensor:
    return denoised - perturbed


def _removed(run: MeasuredRun, images: NDArray[np.uint8]) -> float:
    """Return the percentage of the squared distance to the clean images that is removed."""
    before = _squared(run, images, lambda _, perturbed, clean: perturbed - clean)
    after = _squared(run, images, lambda denoised, _, clean: denoised - clean)
    return 100 * (1 - after / before) if before else 0.0


def _squared(
    run: MeasuredRun, perturbed: NDArray[np.uint8] | None, difference: _Difference
) -> float:
    """Return the mean square of a difference over the validation images."""
    model = run.model
    assert isinstance(model, Classifier)
    total, count = 0.0, 0
    for place, clean, _ in run.batches():
        given = clean if perturbed is None else to_float(perturbed[place], clean.device)
        with torch.no_grad():
            denoised = given if model.denoiser is None else model.denoiser(given)
        total += float(difference(denoised, given, clean).double().square().sum())
        count += clean.numel()
    return total / count
