"""The training step. Adversary and objective are its two choices."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from gratis.adversary import Adversary
from gratis.data import Batch
from gratis.errors import GratisError
from gratis.model import Output
from gratis.model.dropout import Masked, dropout_of
from gratis.objective import Objective
from gratis.seeds import derive
from gratis.training.ema import WeightAverage


@dataclass
class TrainState:
    """Everything that one training step reads or changes.

    Attributes:
        fabric: the device and precision.
        module: the network itself. Attacks go through it, because fabric's wrapper allows only
            ``fabric.backward``.
        model: the network wrapped by fabric, for the training pass.
        adversary: perturbs the batch.
        objective: the weighted losses to minimise.
        optimizer: updates the parameters of ``module``.
        average: the running average of the weights, if there is one.
        seed: the seed of dropout.
    """

    fabric: Fabric
    module: nn.Module
    model: nn.Module
    adversary: Adversary
    objective: Objective
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None
    seed: int

    @property
    def passes_per_view(self) -> int:
        """The passes of one view in a replay: of the adversary, and of the clean view."""
        return self.adversary.passes() + int(self.objective.needs_clean)

    @property
    def evaluated(self) -> nn.Module:
        """The network to evaluate: the averaged one, if there is one."""
        return self.module if self.average is None else self.average

    def load_weights(self, state: dict[str, Tensor]) -> None:
        """Start from other weights; ``state`` is a whole state dict of ``module``."""
        self.module.load_state_dict(state)
        if self.average is not None:
            self.average.module.load_state_dict(state)


def train_step(
    train_state: TrainState, batch: Batch, t: float, step: int, micro_batches: int = 1
) -> dict[str, Tensor]:
    """Train once on ``batch``: one replay.

    Args:
        train_state: changed in place.
        batch: the images and their views.
        t: training progress in [0, 1].
        step: the number of the step in the run.
        micro_batches: the number of micro-batches in which the batch goes through the model. Their
            gradients add up to one update.

    Returns:
        The weighted terms, their sum ``loss`` and the ``accuracy`` on the perturbed views, whose
        means over the ranks are those of the batch. They are scalars on the device, so that the
        step does not wait for it.

    Raises:
        torch.OutOfMemoryError: before the update. Only batch norm's running statistics have
            changed, and the step can be repeated in more micro-batches.
        GratisError: the device runs out of memory in the update.
    """
    adversary, optimizer = train_state.adversary, train_state.optimizer
    # Keyed by the step, so that dropout needs no saved state.
    torch.manual_seed(derive(train_state.seed, "dropout", step))
    with _restored_when_out_of_memory(adversary), dropout_of(_masked(batch)):
        with train_state.fabric.autocast():
            x = adversary.perturb(train_state.module, batch, t, micro_batches)
        optimizer.zero_grad()
        split = zip(batch.split(micro_batches), batch.split_views(x, micro_batches), strict=True)
        reports = [
            _backward(train_state, part, own_x, t, len(part) / len(batch) * batch.rank_weight)
            for part, own_x in split
        ]
    with _fatal_when_out_of_memory():
        optimizer.step()
        adversary.update_delta(batch, t)
        if train_state.average is not None:
            train_state.average.update_parameters(train_state.module)
    return reduce(lambda sums, report: {k: sums[k] + report[k] for k in sums}, reports)


def _backward(
    train_state: TrainState, batch: Batch, x: Tensor, t: float, share: float
) -> dict[str, Tensor]:
    """Add ``share`` times the gradients of a micro-batch; return ``share`` times its report."""
    output: Output = train_state.model(x)
    objective = train_state.objective
    clean: Output | None = train_state.model(batch.views) if objective.needs_clean else None
    losses = {n: share * loss for n, loss in objective(output, batch, t, clean).items()}
    loss = torch.stack(list(losses.values())).sum()
    train_state.fabric.backward(loss)
    correct = output.logits.argmax(dim=1) == batch.view_labels
    losses |= {"loss": loss, "accuracy": share * correct.float().mean()}
    return {name: value.detach() for name, value in losses.items()}


def _masked(batch: Batch) -> Masked | None:
    """Return which rows of dropout's masks are this rank's."""
    if batch.total is None:
        return None
    return Masked(batch.view_count * batch.total, batch.rows_of_rank)


@contextmanager
def _restored_when_out_of_memory(adversary: Adversary) -> Iterator[None]:
    """Restore the adversary when the device runs out of memory: the step can be repeated."""
    before = adversary.state_dict()
    try:
        yield
    except torch.OutOfMemoryError:
        adversary.load_state_dict(before)
        raise


@contextmanager
def _fatal_when_out_of_memory() -> Iterator[None]:
    """Raise GratisError when the device runs out of memory: the weights may have changed."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise GratisError(
            "the device ran out of memory while updating weights and delta; choose a smaller model"
        ) from error
