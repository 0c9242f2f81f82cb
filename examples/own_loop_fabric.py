"""The loop of ``own_loop.py`` under lightning-fabric: any device, mixed precision.

    uv run python examples/own_loop_fabric.py

Two things differ. The adversary gets the bare module, because fabric's wrapper allows no backward
pass but fabric's own, and perturbs inside ``fabric.autocast()``. And ``fabric.backward`` takes the
place of ``loss.backward``.
"""

from lightning_fabric import Fabric
from own_loop import ADVERSARY, draws, main
from torch import Tensor, nn, optim
from torch.nn import functional

from gratis.data import Batch


def train(module: nn.Module, images: Tensor, labels: Tensor, steps: int) -> None:
    """Train ``module`` for so many steps; each costs what a step of natural training does."""
    fabric = Fabric(accelerator="auto", devices=1, precision="bf16-mixed")
    optimizer = optim.SGD(module.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
    model, optimizer = fabric.setup(module, optimizer)
    done = 0
    for some, their_labels in draws(images, labels):
        batch = Batch.of(some.to(fabric.device), their_labels.to(fabric.device))
        for _ in range(ADVERSARY.replays(done / steps)):
            if done == steps:
                module.cpu()
                return
            with fabric.autocast():
                perturbed = ADVERSARY.perturb(module, batch, done / steps)
            loss = functional.cross_entropy(model(perturbed), batch.labels)
            optimizer.zero_grad()
            fabric.backward(loss)
            optimizer.step()
            ADVERSARY.observe(batch, done / steps)
            done += 1
            if done % 100 == 0 or done == steps:
                fabric.print(f"step {done:5}  loss {loss.item():.3f}")


if __name__ == "__main__":
    main(train)
