"""From a recipe to the objects that it describes."""

import logging
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from gratis.augmentation import Augment
from gratis.data import Batches, Dataset, hold_out, to_float
from gratis.model import Classifier, passes_per_image
from gratis.objective import Objective
from gratis.recipe import Recipe
from gratis.run.precision import quick_precision
from gratis.seeds import derive
from gratis.training.ema import Average
from gratis.training.monitor import OverfittingMonitor
from gratis.training.settings import TrainSettings
from gratis.training.step import TrainState
from gratis.training.trainer import Trainer

logger = logging.getLogger(__name__)

ENDLESS_EPOCHS = 1e6


def fit_to_data(recipe: Recipe, dataset: Dataset) -> Recipe:
    """Return the recipe without mirroring where a mirrored image no longer shows its class."""
    if dataset.mirrors or recipe.augment is None or recipe.augment.flip == 0:
        return recipe
    logger.info(f"{dataset.name} must not be mirrored: augment.flip is set to 0")
    unmirrored = recipe.augment.model_copy(update={"flip": 0.0})
    return recipe.model_copy(update={"augment": unmirrored})


def build_model(recipe: Recipe, classes: int) -> Classifier:
    """Return the untrained classifier, its weights drawn from the recipe's seed.

    Raises:
        GratisError: the backbone is unknown, or its weights cannot be had or do not fit.
    """
    torch.manual_seed(derive(recipe.seed, "model"))
    # Channels last is how images lie in memory, and the faster layout for convolutions.
    return Classifier(recipe.model, classes).to(memory_format=torch.channels_last)


def build_trainer(recipe: Recipe, dataset: Dataset) -> tuple[Trainer, OverfittingMonitor | None]:
    """Return the trainer of a recipe, and the monitor over its held-out images.

    Raises:
        GratisError: as :func:`build_model`.
    """
    settings = recipe.train
    precision = quick_precision() if settings.precision == "auto" else settings.precision
    fabric = Fabric(accelerator="auto", devices=1, precision=precision)
    module = build_model(recipe, len(dataset.classes)).to(fabric.device)
    cost = passes_per_image(module, dataset.size)
    optimizer = _build_optimizer(module, settings)
    wrapped, optimizer = fabric.setup(module, optimizer)
    train_state = TrainState(
        fabric=fabric,
        module=module,
        model=wrapped,
        adversary=recipe.adversary_settings.build(recipe.seed),
        objective=Objective(recipe.terms),
        optimizer=optimizer,
        average=None if settings.average is None else Average(module, settings.average),
        seed=recipe.seed,
    )
    if settings.compile:
        # The compiler takes long to import.
        from gratis.training.compilation import compile_training

        compile_training(module)
    training, held_out = hold_out(dataset.train, settings.held_out)
    batches = Batches(dataset.train, training, settings.batch_size, recipe.seed, fabric.device)
    augment = Augment(recipe.augment) if recipe.augment else None
    monitor = None
    if len(held_out):
        kept = dataset.train.take(held_out)
        images = to_float(kept.images, fabric.device)
        labels = torch.from_numpy(kept.labels).to(fabric.device)
        monitor = OverfittingMonitor(
            images, labels, recipe.evaluate.epsilon, recipe.seed, settings.batch_size
        )
    return Trainer(train_state, batches, augment, settings, cost), monitor


def build_to_measure(recipe: Recipe, dataset: Dataset) -> tuple[Trainer, OverfittingMonitor | None]:
    """Return the trainer of a recipe in the middle of its schedules, with no end to come near.

    Raises:
        GratisError: as :func:`build_model`.
    """
    endless = recipe.train.model_copy(update={"epochs": ENDLESS_EPOCHS})
    trainer, monitor = build_trainer(recipe.model_copy(update={"train": endless}), dataset)
    trainer.position.passes = trainer.planned / 2
    trainer.train_state.module.train()
    return trainer, monitor


def _build_optimizer(module: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    groups = _decayed(module, settings)
    # The loop sets the rate at every step.
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, fused=True)
    return torch.optim.SGD(
        groups,
        lr=0.0,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
        fused=True,
    )


def _decayed(module: nn.Module, settings: TrainSettings) -> list[dict[str, Any]]:
    """Return the trained parameters in groups, each with its weight decay."""
    trained = [p for p in module.parameters() if p.requires_grad]
    if settings.decay_all:
        return [{"params": trained, "weight_decay": settings.weight_decay}]
    weights = [p for p in trained if p.dim() > 1]
    others = [p for p in trained if p.dim() <= 1]
    return [
        {"params": weights, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
