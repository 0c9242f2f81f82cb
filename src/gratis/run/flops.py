"""The arithmetic of a training run, in floating-point operations."""

from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from gratis.adversary import Adversary
from gratis.data import Batch
from gratis.model import Classifier, passes_per_image
from gratis.objective import Objective
from gratis.ranks import joined
from gratis.recipe import Recipe
from gratis.schedule import Constant, Schedule
from gratis.torch_state import fresh_torch_state

# Two images, because batch norm needs two.
_IMAGES = 2
_PLACES = 101


def training_flops(recipe: Recipe, size: int, classes: int, passes: float) -> float:
    """Return the floating-point operations of training a recipe for so many passes.

    Counted are the multiplications and additions of convolutions and matrix products, forward and
    backward: to the weights that are trained, to the images where the adversary needs their
    gradient, in attack steps and in the denoiser. Element-wise operations, the optimizer, the
    augmentation and the measurements of the monitor are not counted. The count is that of the
    plain network, so that it is the same on every machine.
    """
    untrained = recipe.model.model_copy(update={"pretrained": False})
    with fresh_torch_state(), joined(False):
        model = Classifier(untrained, classes).train()
        objective, settings = Objective(recipe.terms), recipe.adversary_settings
        gamma = getattr(settings, "gamma", None)
        # Every replay uses delta; those that do not are counted beside them.
        always = {} if gamma is None else {"gamma": Constant(value=1)}
        adversary = settings.model_copy(update=always).build(recipe.seed)
        flops = float(_flops_of_step(model, adversary, objective, size))
        if gamma is not None and (used := _mean(gamma)) < 1:
            plain = _flops_of_step(model, None, objective, size)
            flops = used * flops + (1 - used) * plain
        passes_of_view = adversary.passes() + int(objective.needs_clean)
        passes_of_step = passes_per_image(model, size) * passes_of_view * objective.views
    return passes * flops / (_IMAGES * passes_of_step)


def _flops_of_step(
    model: nn.Module, adversary: Adversary | None, objective: Objective, size: int
) -> int:
    """Return the operations of one step on two images; no adversary leaves the views as they are.

    The values of schedules do not matter, so the progress is that of the end.
    """
    images = torch.rand(_IMAGES, 3, size, size)
    labels = indices = torch.arange(_IMAGES)
    views = images.repeat(objective.views, 1, 1, 1)
    batch = Batch(images, labels, indices, views, split_size=_IMAGES)
    with _Counter() as counter:
        x = views if adversary is None else adversary.perturb(model, batch, 1.0)
        clean = model(views) if objective.needs_clean else None
        torch.stack(list(objective(model(x), batch, 1.0, clean).values())).sum().backward()
    return int(counter.flops)


class _Counter(TorchDispatchMode):
    """Counts by torch's formulas. torch's own counter cannot follow the gradient of an input."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        formula = flop_registry.get(function._overloadpacket)
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=found))
        return found


def _mean(schedule: Schedule) -> float:
    """Return the mean of a schedule over training."""
    return sum(schedule(place / (_PLACES - 1)) for place in range(_PLACES)) / _PLACES
