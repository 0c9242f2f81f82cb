"""THE training step: everything else is a choice of adversary and objective around it."""

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
from gratis.objective import Objective
from gratis.seeds import derive
from gratis.training.ema import Average


@dataclass
class TrainState:
    """Everything that one training step reads or changes.

    ``module`` is the bare network: under mixed precision attacks need it, because fabric's
    wrapper ``model`` refuses a backward pass that is not its own.
    """

    fabric: Fabric
    module: nn.Module
    model: nn.Module
    adversary: Adversary
    objective: Objective
    optimizer: torch.optim.Optimizer
    average: Average | None
    seed: int

    @property
    def evaluated(self) -> nn.Module:
        """The network that counts: the averaged one, where there is an average."""
        return self.module if self.average is None else self.average


def train_step(train_state: TrainState, batch: Batch, t: float, step: int) -> dict[str, Tensor]:
    """Train once on ``batch`` at progress ``t``: one replay, in as many parts as the batch has.

    Returns:
        The weighted terms, their sum ``loss`` and the ``accuracy`` on the perturbed views, as
        scalars on the device, so that nothing waits for them.

    Raises:
        torch.OutOfMemoryError: memory did not do; but for batch norm's running statistics, all
            is as it was.
        GratisError: memory did not do for what comes after the gradients.
    """
    adversary, optimizer = train_state.adversary, train_state.optimizer
    # Keyed by position, so that dropout needs no saved state.
    torch.manual_seed(derive(train_state.seed, "dropout", step))
    with _as_before(adversary):
        with train_state.fabric.autocast():
            images = adversary.perturb(train_state.module, batch, t)
        optimizer.zero_grad()
        parts = zip(batch.split(), batch.split_views(images), strict=True)
        reports = [_backward(train_state, p, own, t, len(p) / len(batch)) for p, own in parts]
    with _once():
        optimizer.step()
        adversary.observe(batch, t)
        if train_state.average is not None:
            train_state.average.update_parameters(train_state.module)
    return reduce(lambda sums, more: {name: sums[name] + more[name] for name in sums}, reports)


def _backward(
    train_state: TrainState, batch: Batch, images: Tensor, t: float, share: float
) -> dict[str, Tensor]:
    """Add ``share`` of the gradients of ``batch`` to the parameters; return that of its report."""
    output: Output = train_state.model(images)
    losses = {n: share * loss for n, loss in train_state.objective(output, batch, t).items()}
    loss = torch.stack(list(losses.values())).sum()
    train_state.fabric.backward(loss)
    right = output.logits.argmax(dim=1) == batch.view_labels
    losses |= {"loss": loss, "accuracy": share * right.float().mean()}
    return {name: value.detach() for name, value in losses.items()}


@contextmanager
def _as_before(adversary: Adversary) -> Iterator[None]:
    """Put the adversary back where memory does not do, so that the step can be made again."""
    before = adversary.state_dict()
    try:
        yield
    except torch.OutOfMemoryError:
        adversary.load_state_dict(before)
        raise


@contextmanager
def _once() -> Iterator[None]:
    """Never have a step made again whose weights may have moved."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise GratisError(
            "the device's memory is too small to update weights and delta; choose a smaller model"
        ) from error
