"""THE training step: everything else is a choice of adversary and objective around it."""

from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from gratis.adversary import Adversary
from gratis.data import Batch
from gratis.model import Output
from gratis.objective import Objective
from gratis.seeds import derive
from gratis.train.average import Average


@dataclass
class Learner:
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


def train_step(learner: Learner, batch: Batch, t: float, step: int) -> dict[str, Tensor]:
    """Train once on ``batch`` at progress ``t``: one replay.

    Returns:
        The weighted terms, their sum ``loss`` and the ``accuracy`` on the perturbed views, as
        scalars on the device, so that nothing waits for them.
    """
    adversary, optimizer = learner.adversary, learner.optimizer
    # Keyed by position, so that dropout needs no saved state.
    torch.manual_seed(derive(learner.seed, "dropout", step))
    with learner.fabric.autocast():
        images = adversary.perturb(learner.module, batch, t)
    output: Output = learner.model(images)
    losses = learner.objective(output, batch, t)
    loss = torch.stack(list(losses.values())).sum()
    optimizer.zero_grad()
    learner.fabric.backward(loss)
    optimizer.step()
    adversary.observe(batch, t)
    if learner.average is not None:
        learner.average.update_parameters(learner.module)
    right = output.logits.argmax(dim=1) == batch.view_labels
    losses |= {"loss": loss, "accuracy": right.float().mean()}
    return {name: value.detach() for name, value in losses.items()}
