"""Compares the accuracies that the libraries find."""

import torch
from torch import Tensor

from benchmarks.referees.material import AttackSetup, Material, accuracy, given, material_of
from benchmarks.referees.tools import TOOLS, Attack, ours_until_fooled
from gratis.attacks import AttackSettings

COLUMNS = ["model", "attack", *TOOLS, "largest difference from ours", "ours until fooled"]


def attacks_of(epsilon: float, epsilon_l2: float) -> dict[str, AttackSettings]:
    """Return the attacks that all libraries implement."""
    l2 = AttackSettings(epsilon=epsilon_l2, norm="l2", steps=20)
    return {
        "FGSM": AttackSettings.fgsm(epsilon),
        "BIM-10": AttackSettings.bim(epsilon),
        "PGD-20": AttackSettings.pgd(epsilon),
        "L2 PGD-20": l2,
    }


def attack_in_batches(tool: Attack, it: Material, how: AttackSettings, batch: int) -> Tensor:
    """Return the adversarial images of a tool, computed batch by batch."""
    batches = zip(it.images.split(batch), it.labels.split(batch), strict=True)
    return torch.cat([tool(it.model, images, labels, how) for images, labels in batches])


def agreement(setup: AttackSetup, epsilon_l2: float, batch: int) -> list[str]:
    """Return the table's line for each attack."""
    # Not prepared: torchattacks cannot reshape channels last in L2.
    lines, it = [], given(material_of(setup))
    for name, how in attacks_of(it.epsilon, epsilon_l2).items():
        found = {t: accuracy(it, attack_in_batches(f, it, how, batch)) for t, f in TOOLS.items()}
        apart = max(abs(value - found["ours"]) for value in found.values())
        stopped = accuracy(it, attack_in_batches(ours_until_fooled, it, how, batch))
        cells = [*(f"{value:.2f}" for value in found.values()), f"{apart:.2f}", f"{stopped:.2f}"]
        lines.append(f"| {it.name} | {name} | {' | '.join(cells)} |")
    return lines
