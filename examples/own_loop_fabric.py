"""Free adversarial training under lightning-fabric: any device, mixed precision.

    uv run python examples/own_loop_fabric.py

It differs from ``own_loop.py`` in one point: the adversary gets the bare module, because fabric's
wrapper allows no backward pass but fabric's own.
"""

from lightning_fabric import Fabric
from own_loop import batches, main
from torch import Tensor, nn, optim
from torch.nn import functional

from gratis.adversary import Adversary


def train(
    module: nn.Module, adversary: Adversary, images: Tensor, labels: Tensor, steps: int
) -> None:
    """Train ``module`` for ``steps`` steps, each at the price of a step of ordinary training."""
    fabric = Fabric(accelerator="auto", devices=1, precision="bf16-mixed")
    optimizer = optim.SGD(module.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
    model, optimizer = fabric.setup(module, optimizer)
    step = 0
    for batch in batches(images, labels):
        batch_images, batch_labels = (tensor.to(fabric.device) for tensor in batch)
        for x in adversary.replay(module, batch_images, batch_labels, step / steps):
            loss = functional.cross_entropy(model(x), batch_labels)
            optimizer.zero_grad()
            fabric.backward(loss)
            optimizer.step()
            step += 1
            if step % 100 == 0:
                fabric.print(f"step {step:5}  loss {loss.item():.3f}")
        if step >= steps:
            break
    module.cpu()


if __name__ == "__main__":
    main(train)
