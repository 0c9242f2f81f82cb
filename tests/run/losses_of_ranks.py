"""Train several recipes for some steps, on every rank: python losses_of_ranks.py OUT.

Rank 0 writes their losses, a list for each recipe, to OUT. In float64, because a rounding error of
float32 turns the sign of a gradient near zero, and with it a whole step of delta.
"""

import json
import sys
from pathlib import Path
from unittest.mock import patch

import torch

from gratis.data import batches
from gratis.ranks import is_first
from gratis.recipe import Recipe, resolve
from gratis.run import build, launched
from gratis.run.dependent_settings import resolve_dependent
from gratis.run.loading import load_once

STEPS = 6
SMALL = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "train.batch_size=31"),
    *("data.classes=5", "train.held_out_per_class=3"),
]
RECIPES = {
    "natural": ("augmented", []),
    "contrastive": ("contrastive-free", ["adversary.free.gamma=0.8"]),
    "denoiser": ("contrastive-autoencoder", []),
    "n_fgsm": ("n-fgsm", []),
    "pgd": ("pgd", ["adversary.pgd.steps=2"]),
    "multi_norm": ("free", ["adversary=multi_norm"]),
    "cached": ("free", ["adversary=cached", "adversary.cached.replays=2"]),
    "trades": ("free", ["objective.trades.weight=2"]),
    "l2": ("free", ["adversary.free.norm=l2", "adversary.free.epsilon=1"]),
}


def losses(recipe: Recipe) -> list[float]:
    """Return the loss of every step, and then the held-out accuracies."""
    data = load_once(recipe.data)
    trainer, monitor = build.build_trainer(resolve_dependent(recipe, data), data)
    trainer.train_state.module.train()
    found = []
    for _ in range(STEPS):
        trainer.step()
        found.append(trainer.averages["step"].read()["loss"])
    assert monitor is not None
    return [*found, *monitor(trainer.train_state.evaluated).values()]


def main() -> None:
    """Train, and write the losses."""
    fabric, model, to_float = build.build_fabric, build.build_model, batches.to_float
    with (
        launched(None),
        patch.object(build, "build_fabric", lambda precision: fabric("64-true")),
        patch.object(build, "build_model", lambda *given: model(*given).double()),
        patch.object(build, "to_float", lambda *given: to_float(*given).double()),
        patch.object(batches, "to_float", lambda *given: to_float(*given).double()),
    ):
        torch.set_num_threads(1)
        found = {
            name: losses(resolve(recipe, "digits", [*SMALL, *changes]).with_norms())
            for name, (recipe, changes) in RECIPES.items()
        }
        if is_first():
            Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
