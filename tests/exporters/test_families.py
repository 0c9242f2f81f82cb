"""Networks of several families can be exported with a plain head, each as its timm model."""

import pytest
import torch

from gratis.errors import GratisError
from gratis.exporters import ENDINGS, EXPORTERS, Content
from gratis.model import Classifier, HeadSettings, InferenceModel, ModelSettings

# Each with the size of its input.
FAMILIES = {
    "resnet18": 32,
    "vit_tiny_patch16_224": 32,
    "convnext_atto": 32,
    "mobilenetv3_small_050": 32,
    "tf_efficientnet_lite0": 32,
}


def content(backbone, size):
    torch.manual_seed(0)
    settings = ModelSettings(backbone=backbone, input_size=size, head=HeadSettings(layers=0))
    model = InferenceModel(Classifier(settings, 3), ("a", "b", "c"), 24)
    return Content(
        model.requires_grad_(False), torch.rand(3, 3, 24, 24), None, {"gratis.recipe": "x"}
    )


@pytest.mark.parametrize("kind", ["timm", "state-dict"])
@pytest.mark.parametrize("backbone", FAMILIES)
def test_a_family_is_exported(backbone, kind, tmp_path):
    EXPORTERS[kind](content(backbone, FAMILIES[backbone]), tmp_path / f"model{ENDINGS[kind]}")
    for path in tmp_path.rglob("*.safetensors"):
        assert path.stat().st_mode & 0o044, "others cannot read it"


def test_no_image_is_inside_an_export(tmp_path):
    several = content("resnet18", 32)
    several = Content(several.model, torch.rand(400, 3, 24, 24), None, several.facts)
    EXPORTERS["torch-export"](several, tmp_path / "model.pt2")
    weights = sum(4 * p.numel() for p in several.model.parameters())
    assert (tmp_path / "model.pt2").stat().st_size < weights + 1e6


def test_a_network_with_two_class_layers_is_refused(tmp_path):
    twice = content("deit_tiny_distilled_patch16_224", 224)
    with pytest.raises(GratisError, match="no single class layer; export it as onnx"):
        EXPORTERS["timm"](twice, tmp_path / "model")
    assert not list(tmp_path.iterdir())
