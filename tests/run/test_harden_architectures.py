"""Models of several kinds, made elsewhere, become robust runs that load without their file."""

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch.nn import functional

import gratis
from gratis.data import hold_out, load, to_float
from gratis.run import frontier, sample_images

SHORT = [
    *("train.epochs=0.05", "train.batch_size=16", "train.held_out_per_class=5"),
    *("evaluate.images=10", "evaluate.pgd_steps=2", "evaluate.epsilons=[0.03, 0.06]"),
]
# Small networks of timm's own tests, and one of torchvision's.
NAMES = ("test_resnet", "test_vit", "test_convnext", "test_efficientnet", "resnet18")


def network(name, classes):
    torch.manual_seed(0)
    if name == "resnet18":
        return torchvision.models.resnet18(num_classes=classes)
    options = {"img_size": 32} if "vit" in name else {}
    return timm.create_model(name, num_classes=classes, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "classes"), [*((name, 10) for name in NAMES), ("test_vit", 7), ("test_convnext", 7)]
)
def test_a_model_of_this_kind_is_hardened(name, classes, tmp_path, monkeypatch):
    monkeypatch.setattr(frontier, "ALPHAS", (0.0, 0.5, 1.0))
    monkeypatch.setattr(sample_images, "IMAGES", 1)
    given = network(name, classes)
    save_file(given.state_dict(), tmp_path / "net.safetensors")
    run = gratis.harden(
        name,
        weights=tmp_path / "net.safetensors",
        data="digits",
        input_size=32,
        budget=None,
        epsilon=0.06,
        overrides=SHORT,
        out=tmp_path / "run",
    )
    (tmp_path / "net.safetensors").unlink()
    # A new class layer is trained naturally first.
    assert (run.recipe().harden.natural_training is None) == (classes == 10)
    images = torch.rand(3, 3, 8, 8)
    model = gratis.load(run)
    assert model(images).shape == (3, 10) and len(run.frontier().points) == 3
    assert run.results().before is not None and run.results().expected is not None
    if classes == 10:
        # The first point of the frontier is the given model, as timm computes it.
        given.eval()
        config = timm.get_pretrained_cfg(name)
        split = held_out_images(run)
        seen = functional.interpolate(to_float(split.images, "cpu"), (32, 32), mode="bilinear")
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (config.mean, config.std))
        with torch.no_grad():
            right = given((seen - mean) / std).argmax(1).numpy() == split.labels
        assert run.frontier().points[0].clean == pytest.approx(right.mean(), abs=0.021)


def held_out_images(run):
    recipe = run.recipe()
    dataset = load(recipe.data)
    return dataset.train.take(hold_out(dataset.train, recipe.train.held_out_per_class)[1])
