"""FGSM on a baseline model, stored as whole pixel values: a transfer attack on other models."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gratis.attacks import AttackSettings, attack
from gratis.data.batches import to_float
from gratis.data.dataset import Split
from gratis.model import logits_of


def attacked(baseline: nn.Module, batch: Split, epsilon: float) -> NDArray[np.uint8]:
    """Return FGSM images made with the baseline's gradient, uint8, at the images' own resolution.

    ``epsilon`` is the L-infinity norm in [0, 1] units of pixel value. The attack runs on the device
    of the baseline's parameters. Wrap the call in :func:`gratis.attacks.frozen`.
    """
    device = next(baseline.parameters()).device
    adversarial = attack(
        lambda images: logits_of(baseline(images)),
        to_float(batch.images, device),
        torch.from_numpy(np.array(batch.labels)).to(device),
        AttackSettings.fgsm(epsilon),
    )
    return quantise(np.asarray(batch.images), adversarial, epsilon)


def quantise(
    images: NDArray[np.uint8], adversarial: torch.Tensor, epsilon: float
) -> NDArray[np.uint8]:
    """Return adversarial images as uint8, still within ``epsilon`` of ``images``.

    ``images`` are uint8 (n, height, width, 3), ``adversarial`` is float (n, 3, height, width) in
    [0, 1]. Every change is rounded towards zero.
    """
    after = adversarial.detach().permute(0, 2, 3, 1).cpu().double().numpy() * 255
    delta = after - images
    # Rounding may turn a change of 8 levels into 7.9999, and 8/255 * 255 too.
    whole = np.trunc(delta + 1e-3 * np.sign(delta))
    limit = int(epsilon * 255 + 1e-3)
    stored = np.clip(images + np.clip(whole, -limit, limit), 0, 255)
    result: NDArray[np.uint8] = stored.astype(np.uint8)
    return result
