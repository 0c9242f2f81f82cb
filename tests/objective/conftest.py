import pytest
import torch

from gratis.data import Batch
from gratis.model import Output
from gratis.seeds import generator


@pytest.fixture
def one_batch():
    """Make a batch of ``n`` images in ``views``, and a classifier's output for it."""

    def make(n=6, views=2, labels=None, width=8, classes=4):
        source = generator("cpu", "objective", n, views)
        images = torch.rand((n, 3, 4, 4), generator=source)
        if labels is None:
            labels = torch.randint(classes, (n,), generator=source)
        augmented = torch.rand((views * n, 3, 4, 4), generator=source)
        batch = Batch(images, torch.as_tensor(labels), torch.arange(n), augmented)
        output = Output(
            logits=torch.randn((views * n, classes), generator=source).requires_grad_(),
            embedding=torch.randn((views * n, width), generator=source).requires_grad_(),
            denoised=torch.rand((views * n, 3, 4, 4), generator=source).requires_grad_(),
        )
        return batch, output

    return make
