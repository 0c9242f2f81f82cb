import threading

import pytest
import torch
from torch import nn

from gratis.cpu import folded, packing
from gratis.cpu.packing import PackedConv2d
from gratis.model import Classifier, ModelSettings, logits_of

SETTINGS = {"channels": (4, 4, 8, 8), "head": {"width": 16}}
IMAGES = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(2))


def prepared(model: nn.Module) -> nn.Module:
    """Return the model in evaluation mode, with statistics that matter."""
    torch.manual_seed(1)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2)
            part.weight.data.uniform_(0.5, 2)
            part.bias.data.uniform_(-0.5, 0.5)
    return model.eval().requires_grad_(False)


def gradient(model: nn.Module) -> torch.Tensor:
    tracked = IMAGES.clone().requires_grad_()
    return torch.autograd.grad(logits_of(model(tracked)).logsumexp(1).sum(), tracked)[0]


def norms(model: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in model.modules())


def kinds(model: nn.Module, *wanted: type) -> list[type]:
    """Return the types of the parts of a model that are instances of ``wanted``."""
    return [type(part) for part in model.modules() if isinstance(part, wanted)]


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({}, 0),
        ({"backbone": "resnet50"}, 0),
        ({"stem": "small", "denoiser": {"width": 2}}, 0),
        # Only the norm between a block's two convolutions follows one at once.
        ({"backbone": "resnetv2_18", "channels": (8, 16, 32, 64)}, 9),
    ],
    ids=str,
)
def test_a_folded_classifier_is_the_same_function_with_fewer_layers(settings, left):
    torch.manual_seed(0)
    model = prepared(Classifier(ModelSettings(**SETTINGS | settings), 5))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    copied = folded(model, IMAGES)
    assert copied is not model and norms(copied) == left < norms(model)
    torch.testing.assert_close(copied(IMAGES).logits, model(IMAGES).logits, rtol=1e-4, atol=1e-5)
    wanted = gradient(model)
    torch.testing.assert_close(gradient(copied), wanted, rtol=0, atol=1e-4 * wanted.abs().max())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in copied.parameters())


class Net(nn.Module):
    """Convolution, a layer between, batch norm, logits."""

    def __init__(self, between: nn.Module, norm: nn.Module | None = None):
        super().__init__()
        # With reflected padding it cannot be packed.
        self.convolution = nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect")
        self.between, self.norm = between, norm or nn.BatchNorm2d(8)
        self.last = nn.Sequential(nn.Flatten(), nn.Linear(8 * 16 * 16, 5))

    def forward(self, images):
        return self.last(self.norm(self.between(self.convolution(images))))


class Twice(Net):
    """Uses the convolution's output without the norm too."""

    def forward(self, images):
        raw = self.convolution(images)
        return self.last(self.norm(raw) + raw)


class Again(Net):
    """Runs the same convolution and norm twice."""

    def forward(self, images):
        return super().forward(images) + super().forward(images)


class Noisy(Net):
    """Gives other logits every time."""

    def forward(self, images):
        return super().forward(images + 0.1 * torch.randn_like(images))


class Uncopied(Net):
    """Cannot be copied."""

    def __init__(self):
        super().__init__(nn.Identity())
        self.lock = threading.Lock()


class Itself(Net):
    """Is its own copy."""

    def __deepcopy__(self, memo):
        return self


class Asking(Net):
    """Reads its norm's weight in the forward pass."""

    def forward(self, images):
        return super().forward(images) * self.norm.weight.mean()


class Weighing(Net):
    """Reads its convolution's weight in the forward pass, without an effect."""

    def forward(self, images):
        return super().forward(images) + 0 * self.convolution.weight.mean()


class Named(Net):
    """Calls its norm by keyword."""

    def forward(self, images):
        return self.last(self.norm(input=self.convolution(images)))


class Detached(nn.Module):
    """Has a first layer without a gradient."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3)
        self.convolution.register_forward_pre_hook(lambda _, inputs: inputs[0].detach())

    def forward(self, images):
        return self.convolution(images).flatten(1) + images.mean((1, 2, 3))[:, None]


def spectral() -> nn.Module:
    model = Net(nn.Identity())
    model.convolution = nn.utils.spectral_norm(model.convolution)
    return model


def test_a_norm_directly_after_a_convolution_is_folded():
    assert norms(folded(prepared(Net(nn.Identity())), IMAGES)) == 0


def test_a_model_without_norms_gets_packed_convolutions():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 14 * 14, 5)).eval()
    copied = folded(model, IMAGES)
    assert kinds(copied, PackedConv2d, nn.Conv2d) == [PackedConv2d]
    torch.testing.assert_close(gradient(copied), gradient(model), rtol=0, atol=1e-5)


def test_without_packing_norms_are_still_folded(monkeypatch):
    monkeypatch.setattr(packing, "_onednn", None)
    copied = folded(prepared(Net(nn.Identity())), IMAGES)
    assert kinds(copied, PackedConv2d, nn.Conv2d, nn.BatchNorm2d) == [nn.Conv2d]


def test_a_model_that_reads_a_weight_keeps_its_convolutions():
    copied = folded(prepared(Weighing(nn.Identity())), IMAGES)
    assert kinds(copied, PackedConv2d, nn.BatchNorm2d) == []


@pytest.mark.parametrize(
    "model",
    [
        Net(nn.ReLU()),
        Net(nn.ReLU(inplace=True)),
        Net(nn.Identity(), nn.BatchNorm2d(8, track_running_stats=False)),
        Net(nn.Identity(), nn.GroupNorm(2, 8)),
        Twice(nn.Identity()),
        Again(nn.Identity()),
        Noisy(nn.Identity()),
        Uncopied(),
        Itself(nn.Identity()),
        Asking(nn.Identity()),
        Named(nn.Identity()),
        spectral(),
        Detached(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_model_that_cannot_be_folded_is_returned_itself(model):
    prepared(model)
    assert folded(model, IMAGES) is model
