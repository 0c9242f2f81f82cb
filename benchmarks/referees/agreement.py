"""Do all libraries find the same accuracy?"""

import torch
from torch import Tensor

from benchmarks.referees.material import Asked, Material, accuracy, given, material_of
from benchmarks.referees.tools import TOOLS, Attack, ours_until_fooled
from gratis.attacks import AttackSettings

COLUMNS = ["model", "attack", *TOOLS, "furthest from ours", "ours until fooled"]


def attacks_of(epsilon: float, epsilon_l2: float) -> dict[str, AttackSettings]:
    """Return the attacks that all libraries have."""
    l2 = AttackSettings(epsilon=epsilon_l2, norm="l2", steps=20)
    return {
        "FGSM": AttackSettings.fgsm(epsilon),
        "BIM-10": AttackSettings.bim(epsilon),
        "PGD-20": AttackSettings.pgd(epsilon),
        "L2 PGD-20": l2,
    }


def in_parts(tool: Attack, it: Material, how: AttackSettings, batch: int) -> Tensor:
    """Return what a tool makes of all images, a batch at a time."""
    parts = zip(it.images.split(batch), it.labels.split(batch), strict=True)
    return torch.cat([tool(it.model, images, labels, how) for images, labels in parts])


def agreement(asked: Asked, epsilon_l2: float, batch: int) -> list[str]:
    """Return a line of the table for each attack."""
    # Not prepared: torchattacks cannot reshape channels last in L2.
    lines, it = [], given(material_of(asked))
    for name, how in attacks_of(it.epsilon, epsilon_l2).items():
        found = {t: accuracy(it, in_parts(f, it, how, batch)) for t, f in TOOLS.items()}
        apart = max(abs(value - found["ours"]) for value in found.values())
        stopped = accuracy(it, in_parts(ours_until_fooled, it, how, batch))
        cells = [*(f"{value:.2f}" for value in found.values()), f"{apart:.2f}", f"{stopped:.2f}"]
        lines.append(f"| {it.name} | {name} | {' | '.join(cells)} |")
    return lines
