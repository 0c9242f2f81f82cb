import pytest
import torch
from torch import nn
from torch.nn import functional

from gratis.errors import GratisError
from gratis.model import Classifier, ModelSettings, Output, logits_of, passes_per_image
from gratis.packaged import profile_names
from gratis.recipe import load_profile, resolve

CHANNELS = (4, 4, 8, 8)


def build(classes: int = 5, **settings) -> Classifier:
    torch.manual_seed(0)
    return Classifier(
        ModelSettings(**{"channels": CHANNELS, "head": {"width": 16}} | settings), classes
    )


@pytest.mark.parametrize("denoiser", [None, {"width": 2}])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"stem": "small"},
        {"input_size": 32},
        {"input_size": 8, "stem": "small"},
        {"backbone": "resnet50"},
        {"backbone": "resnet34", "head": {"width": 6, "layers": 1, "dropout": 0}},
        {"backbone": "mobilenetv3_small_050", "channels": None, "input_size": 32},
    ],
    ids=str,
)
def test_the_shapes_of_the_output(settings, denoiser):
    model = build(**settings, denoiser=denoiser).eval()
    images = torch.rand(3, 3, 16, 16)
    output = model(images)
    width = settings.get("head", {"width": 16})["width"]
    assert output.logits.shape == (3, 5)
    assert output.embedding.shape == (3, width)
    assert (output.denoised is None) == (denoiser is None)
    if output.denoised is not None:
        assert output.denoised.shape == images.shape
    assert logits_of(output) is output.logits
    assert logits_of(output.logits) is output.logits


def test_normalisation_and_resizing_happen_inside():
    model = build(input_size=32).eval()
    images = torch.rand(2, 3, 16, 16)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    resized = functional.interpolate(images, (32, 32), mode="bilinear", align_corners=False)
    expected, embedding = model.head(model.backbone((resized - mean) / std))
    output = model(images)
    torch.testing.assert_close(output.logits, expected)
    torch.testing.assert_close(output.embedding, embedding)


def test_shrinking_averages_pixels():
    model = build(input_size=8, stem="small").eval()
    # A fine checkerboard averages to grey; sampling every fourth pixel would give one colour.
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2
    seen = model._prepare(board.float().expand(1, 3, 32, 32)) * model.std + model.mean
    torch.testing.assert_close(
        seen[..., 1:-1, 1:-1], torch.full((1, 3, 6, 6), 0.5), atol=0.02, rtol=0
    )


def test_images_of_the_right_size_are_not_resized():
    model = build(input_size=16).eval()
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(model._prepare(images) * model.std + model.mean, images)


def test_the_backbone_decides_the_normalisation():
    model = build(backbone="vit_tiny_patch16_224", channels=None)
    assert model.mean.flatten().tolist() == [0.5, 0.5, 0.5]
    assert model.std.flatten().tolist() == [0.5, 0.5, 0.5]


def test_gradients_reach_the_images_through_everything():
    # Wide enough that every image activates some units.
    model = build(input_size=32, denoiser={}, channels=(32,) * 4, head={"width": 128}).eval()
    images = torch.rand(2, 3, 16, 16, requires_grad=True)
    model(images).logits.square().sum().backward()
    assert images.grad is not None and bool((images.grad.abs().sum((1, 2, 3)) > 0).all())


def test_one_image_is_enough_to_measure():
    model = build().eval()
    images = torch.rand(4, 3, 16, 16)
    single = torch.cat([model(image[None]).logits for image in images])
    torch.testing.assert_close(single, model(images).logits, atol=1e-5, rtol=1e-4)


# Frozen


def test_a_frozen_backbone_keeps_weights_and_statistics():
    model = build(freeze_backbone=True, denoiser={})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert model.train() is model and model.training
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    for _ in range(2):
        output = model(torch.rand(4, 3, 16, 16))
        loss = output.logits.square().sum() + output.denoised.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    assert changed
    assert not {name for name in changed if name.startswith("backbone.")}
    assert {name.split(".")[0] for name in changed} == {"head", "denoiser"}
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())


def test_an_unfrozen_backbone_learns():
    model = build().train()
    mean = model.backbone.bn1.running_mean.clone()
    model(torch.rand(4, 3, 16, 16)).logits.sum().backward()
    assert model.backbone.conv1.weight.grad is not None
    assert not torch.equal(model.backbone.bn1.running_mean, mean)


# Backbones


def test_the_small_stem_keeps_the_resolution():
    plain, small = build(), build(stem="small")
    assert small.backbone.conv1.kernel_size == (3, 3)
    assert small.backbone.conv1.stride == (1, 1)
    assert small.backbone.conv1.out_channels == plain.backbone.conv1.out_channels
    assert isinstance(small.backbone.maxpool, nn.Identity)
    images = torch.rand(2, 3, 32, 32)
    assert plain.backbone.forward_features(images).shape[-2:] == (1, 1)
    assert small.backbone.forward_features(images).shape[-2:] == (4, 4)


def test_a_pre_activation_resnet_gets_the_small_stem_too():
    plain = build(backbone="resnetv2_18")
    small = build(backbone="resnetv2_18", stem="small", head={"layers": 0}).eval()
    images = torch.rand(2, 3, 32, 32)
    assert plain.backbone.forward_features(images).shape[-2:] == (1, 1)
    assert small.backbone.forward_features(images).shape[-2:] == (4, 4)
    assert small.backbone.stem.conv.weight.shape == (64, 3, 3, 3)
    assert plain.backbone.stem.conv.weight.shape == (64, 3, 7, 7)
    assert small(images).embedding.shape == (2, CHANNELS[-1])


def test_channels_narrow_the_stages():
    widths = [
        build().backbone.get_submodule(f"layer{n}")[-1].conv2.out_channels for n in (1, 2, 3, 4)
    ]
    assert tuple(widths) == CHANNELS


@pytest.mark.parametrize(
    "settings, problem",
    [
        (
            {"backbone": "resnet81"},
            "model.backbone: timm has no model 'resnet81'; did you mean 'resnet",
        ),
        ({"backbone": "zzz"}, "model.backbone: timm has no model 'zzz'"),
        ({"backbone": ""}, "model.backbone: timm has no model ''"),
        ({"backbone": "vit_tiny_patch16_224"}, "model.channels: vit_tiny_patch16_224 cannot be"),
        ({"backbone": "mobilenetv3_small_050"}, "model.channels: mobilenetv3_small_050 cannot be"),
        (
            {"backbone": "mobilenetv3_small_050", "channels": None, "stem": "small"},
            "model.stem: mobilenetv3_small_050 has no stem to replace; use a ResNet",
        ),
        ({"backbone": "resnet18d", "channels": None, "stem": "small"}, "no stem to replace"),
    ],
    ids=str,
)
def test_an_unavailable_backbone_is_refused(settings, problem):
    with pytest.raises(GratisError) as caught:
        build(**settings)
    assert problem in str(caught.value)
    assert len(str(caught.value)) < 400


def test_without_pretrained_nothing_is_downloaded(monkeypatch):
    import timm

    pretrained = []
    create = timm.create_model

    def create_model(name: str, **options: object) -> nn.Module:
        pretrained.append(options["pretrained"])
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", create_model)
    build()
    assert pretrained == [False]


# Cost


def test_without_a_denoiser_an_image_is_one_pass():
    assert passes_per_image(build(), 16) == 1.0


def test_the_denoisers_share_is_counted_by_hand():
    model = build(stem="small", input_size=8, denoiser={"width": 2}).train()
    side, width = 8, 2
    half, quarter = (side // 2) ** 2, (side // 4) ** 2
    # Multiplications and additions of 3x3 convolutions: 2 * 9 * in * out a pixel.
    layers = [
        (12, width, half),
        (width, 2 * width, quarter),
        (2 * width, 2 * width, quarter),
        (2 * width, 4 * width, quarter),
        (width, 12, half),
    ]
    denoiser = sum(2 * 9 * before * after * pixels for before, after, pixels in layers)
    stages, pixels, before = 0, side**2, 3
    stages += 2 * 9 * before * 64 * pixels
    before = 64
    for n, after in enumerate(CHANNELS):
        pixels = pixels if n == 0 else pixels // 4
        stages += 2 * 9 * pixels * (before * after + 3 * after * after)
        if before != after or n:
            stages += 2 * pixels * before * after
        before = after
    head = 2 * (CHANNELS[-1] * 16 + 2 * 16 * 16 + 16 * 5)
    assert passes_per_image(model, side) == pytest.approx(1 + denoiser / (stages + head))
    assert model.training


PROFILES = [None, *(name for name in profile_names() if not load_profile(name).recipes)]


@pytest.mark.parametrize("profile", PROFILES)
def test_the_denoiser_costs_little_at_every_profiles_size(profile):
    recipe = resolve("contrastive-autoencoder", profile)
    size = recipe.data.size or {"digits": 8}.get(recipe.data.name, 64)
    with torch.device("meta"):  # operations are counted, not done
        model = Classifier(recipe.model.model_copy(update={"pretrained": False}), 10)
    assert 1 < passes_per_image(model, size) <= 1.15


def test_an_output_is_a_tuple_that_names_its_parts():
    assert Output._fields == ("logits", "embedding", "denoised")
