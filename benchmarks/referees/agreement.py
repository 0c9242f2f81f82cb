"""Compares the accuracies that the libraries find."""

import torch
from torch import Tensor

from benchmarks.referees.tools import TOOLS, Attack, ours_until_fooled
from benchmarks.referees.workload import AttackSetup, Workload, accuracy, as_loaded, load_workload
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


def attack_in_batches(
    tool: Attack, workload: Workload, settings: AttackSettings, batch: int
) -> Tensor:
    """Return the adversarial images of a tool, computed batch by batch."""
    batches = zip(workload.images.split(batch), workload.labels.split(batch), strict=True)
    return torch.cat([tool(workload.model, images, labels, settings) for images, labels in batches])


def agreement(setup: AttackSetup, epsilon_l2: float, batch: int) -> list[str]:
    """Return the table's line for each attack."""
    # Not prepared: torchattacks cannot reshape channels last in L2.
    lines, workload = [], as_loaded(load_workload(setup))
    for name, settings in attacks_of(workload.epsilon, epsilon_l2).items():
        found = {
            t: accuracy(workload, attack_in_batches(f, workload, settings, batch))
            for t, f in TOOLS.items()
        }
        difference = max(abs(value - found["ours"]) for value in found.values())
        stopped = accuracy(
            workload, attack_in_batches(ours_until_fooled, workload, settings, batch)
        )
        cells = [
            *(f"{value:.2f}" for value in found.values()),
            f"{difference:.2f}",
            f"{stopped:.2f}",
        ]
        lines.append(f"| {workload.name} | {name} | {' | '.join(cells)} |")
    return lines
