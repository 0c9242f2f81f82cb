"""Build the objects that a recipe describes."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from gratis.augmentation import Augment
from gratis.cpu import use_quick_stem
from gratis.data import Batches, Dataset, hold_out, to_float
from gratis.data.batches import MakeViews
from gratis.errors import GratisError, printable
from gratis.evaluation.measure import evenly_spaced
from gratis.model import Classifier, NoHead, load_initial_weights, passes_per_image
from gratis.model.synced_batch_norm import synchronise_batch_norm
from gratis.objective import Objective
from gratis.ranks import world_size
from gratis.recipe import Recipe
from gratis.run.launch import build_fabric
from gratis.run.memory import refuse_too_little_memory
from gratis.run.model_argument import classes_of
from gratis.seeds import derive
from gratis.torch_state import fresh_torch_state
from gratis.training.ema import WeightAverage
from gratis.training.monitor import OverfittingMonitor
from gratis.training.settings import TrainSettings
from gratis.training.step import TrainState
from gratis.training.trainer import Trainer

# So many that a measurement never comes near the end.
_ENDLESS_EPOCHS = 1e6
# The images of the overfitting monitor while a model is hardened.
_MONITORED = 100


def build_model(recipe: Recipe, classes: Sequence[str]) -> Classifier:
    """Return the classifier of a recipe before training.

    Its weights are those that the recipe starts from, and otherwise drawn from the recipe's seed.
    """
    with fresh_torch_state():
        torch.default_generator.manual_seed(derive(recipe.seed, "model"))
        model = Classifier(recipe.model, len(classes))
        if recipe.model.pretrained:
            model.start = load_initial_weights(model, classes, classes_of(recipe.model.weights))
    if isinstance(model.head, NoHead):
        # A function's network may take contiguous images only.
        return model
    use_quick_stem(model.backbone)
    # The memory format of the images, and the faster one for convolutions.
    return model.to(memory_format=torch.channels_last)


def build_trainer(recipe: Recipe, dataset: Dataset) -> tuple[Trainer, OverfittingMonitor | None]:
    """Return the trainer of a resolved recipe, and the monitor of its held-out images."""
    settings = recipe.train
    assert settings.precision != "auto"  # resolve_dependent chooses one
    fabric = build_fabric(settings.precision)
    train_state, cost = _build_train_state(recipe, dataset, fabric)
    training, held_out = hold_out(dataset.train, settings.held_out_per_class)
    batches = Batches(
        dataset.train,
        training,
        settings.batch_size,
        recipe.seed,
        fabric.device,
        _build_views(recipe, train_state.objective.views),
    )
    # After the images, which may be on the device too.
    refuse_too_little_memory(recipe, dataset, fabric.device)
    monitor = None
    if recipe.harden is not None:
        # It holds out more images, for the frontier.
        held_out = held_out[evenly_spaced(len(held_out), _MONITORED)]
    if len(held_out):
        kept = dataset.train.take(held_out)
        images = to_float(kept.images, fabric.device)
        labels = torch.from_numpy(kept.labels).to(fabric.device)
        norm, epsilon = recipe.target
        monitor = OverfittingMonitor(
            images, labels, epsilon, recipe.seed, settings.batch_size, norm
        )
    return Trainer(train_state, batches, settings, cost), monitor


def build_to_measure(recipe: Recipe, dataset: Dataset) -> tuple[Trainer, OverfittingMonitor | None]:
    """Return an endless trainer of a resolved recipe, in the middle of its schedules."""
    endless = recipe.train.model_copy(update={"epochs": _ENDLESS_EPOCHS})
    trainer, monitor = build_trainer(recipe.model_copy(update={"train": endless}), dataset)
    trainer.position.passes = trainer.planned / 2
    trainer.train_state.module.train()
    return trainer, monitor


def _build_train_state(
    recipe: Recipe, dataset: Dataset, fabric: Fabric
) -> tuple[TrainState, float]:
    """Return what a step needs, and the passes of one image."""
    settings = recipe.train
    module = build_model(recipe, dataset.classes).to(fabric.device)
    _refuse_wrong_size(module, dataset.size)
    cost = passes_per_image(module, dataset.size)
    optimizer = _build_optimizer(module, settings)
    if world_size() > 1:
        synchronise_batch_norm(module, fabric.device)
    wrapped, optimizer = fabric.setup(module, optimizer)
    train_state = TrainState(
        fabric=fabric,
        module=module,
        model=wrapped,
        adversary=recipe.adversary_settings.build(recipe.seed),
        objective=Objective(recipe.terms),
        optimizer=optimizer,
        average=None if settings.ema_decay is None else WeightAverage(module, settings.ema_decay),
        seed=recipe.seed,
    )
    if settings.compile:
        # Imported here because the compiler takes seconds to import.
        from gratis.training.compilation import compile_training

        compile_training(module)
    return train_state, cost


def _refuse_wrong_size(model: Classifier, size: int) -> None:
    """Refuse a network that cannot take the images, before hours of training."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            parameter = next(model.parameters())
            model(parameter.new_zeros(2, 3, size, size))
    except GratisError:
        raise
    except torch.OutOfMemoryError:
        # Training takes smaller batches.
        return
    except Exception as error:
        seen = model.input_size or size
        problem = f"cannot take images of {seen}x{seen} px ({type(error).__name__}: {error})"
        raise GratisError(
            printable(f"model.backbone: {model.settings.backbone} {problem}; set model.input_size")
        ) from error
    finally:
        model.train(training)


def _build_views(recipe: Recipe, views: int) -> MakeViews:
    """Return what makes ``views`` views of each image, augmented if the recipe says so."""
    if recipe.augment is not None:
        return partial(Augment(recipe.augment), views=views)

    def repeated(
        images: Tensor, generator: torch.Generator, /, *, first: int, total: int
    ) -> tuple[Tensor, None]:
        return images.repeat(views, 1, 1, 1) if views > 1 else images, None

    return repeated


def _build_optimizer(module: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    groups = _parameter_groups(module, settings)
    # The trainer sets the learning rate at every step.
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, fused=True)
    return torch.optim.SGD(
        groups, lr=0.0, momentum=settings.momentum, nesterov=settings.momentum > 0, fused=True
    )


def _parameter_groups(module: nn.Module, settings: TrainSettings) -> list[dict[str, Any]]:
    """Return the trained parameters, grouped by weight decay."""
    trained = [p for p in module.parameters() if p.requires_grad]
    if settings.decay_norms_and_biases:
        return [{"params": trained, "weight_decay": settings.weight_decay}]
    weights = [p for p in trained if p.dim() > 1]
    others = [p for p in trained if p.dim() <= 1]
    return [
        {"params": weights, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
