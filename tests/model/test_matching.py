"""State dicts are matched with networks whatever their prefix, or refused by a tensor's name."""

from pathlib import Path

import pytest
import timm
import torch
import torchvision
from timm.layers import resample_abs_pos_embed

from gratis.errors import GratisError
from gratis.model.matching import LoadLimits, match, refuse_misfit

FIT = LoadLimits("the backbone", "use another", class_layers=("fc.",))


def network(seed=0, name="resnet18", classes=0, **options):
    torch.manual_seed(seed)
    options = {"channels": (2, 2, 4, 4)} if name.startswith("resnet") else options
    return timm.create_model(name, num_classes=classes, **options)


def load(net, state, fit=FIT):
    found = match(state, net)
    refuse_misfit(found, net, Path("w.pth"), fit)
    net.load_state_dict(found.tensors, strict=False)
    return found


def equal(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "_orig_mod.", "model.", "backbone.", "module._orig_mod.model.", "1.", "a.b."],
)
@pytest.mark.parametrize("classes", [0, 7])
def test_prefixes_are_removed(prefix, classes):
    trained, fresh = network(1, classes=classes), network(2)
    found = load(fresh, {prefix + k: v for k, v in trained.state_dict().items()})
    assert found.prefix == prefix and not found.missing
    assert all(torch.equal(v, trained.state_dict()[k]) for k, v in fresh.state_dict().items())
    assert len(found.layer(["fc"])) == 2 * bool(classes)


def test_a_class_layer_beside_the_backbone_is_found():
    state = {f"backbone.{k}": v for k, v in network(1).state_dict().items()}
    state |= {"fc.weight": torch.ones(3, 4), "fc.bias": torch.ones(3)}
    found = load(network(2), state)
    assert found.prefix == "backbone." and found.layer(["head", "fc"])["weight"].shape == (3, 4)


def test_of_two_networks_in_a_file_the_one_with_the_shorter_prefix_is_taken():
    student, teacher = network(1).state_dict(), network(3).state_dict()
    state = {f"model.{k}": v for k, v in student.items()}
    state |= {f"ema_model.{k}": v for k, v in teacher.items()}
    assert load(network(2), state).prefix == "model."


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype):
    trained, fresh = network(1), network(2)
    state = {
        k: v.to(dtype) if v.is_floating_point() else v for k, v in trained.state_dict().items()
    }
    load(fresh, state)
    for name, value in fresh.state_dict().items():
        assert value.dtype in (torch.float32, torch.int64)
        assert torch.equal(value, state[name].to(value.dtype))


def test_torchvision_names_are_timms():
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(num_classes=5).eval()
    ours = timm.create_model("resnet18", num_classes=5).eval()
    load(ours, theirs.state_dict())
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


def test_batch_counts_may_be_missing():
    trained, fresh = network(1), network(2)
    load(fresh, {n: v for n, v in trained.state_dict().items() if "num_batches" not in n})
    assert equal(trained, fresh)


@pytest.mark.parametrize(("before", "after"), [(160, 64), (64, 160), (160, 160)])
def test_position_embeddings_are_interpolated(before, after):
    trained = network(1, "test_vit", img_size=before)
    fresh = network(2, "test_vit", img_size=after)
    found = load(fresh, trained.state_dict())
    assert not found.missing
    expected = resample_abs_pos_embed(
        trained.pos_embed,
        list(fresh.patch_embed.grid_size),
        num_prefix_tokens=fresh.num_prefix_tokens,
    )
    torch.testing.assert_close(fresh.pos_embed, expected)
    assert torch.equal(fresh.blocks[0].attn.qkv.weight, trained.blocks[0].attn.qkv.weight)


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        (lambda: network(name="resnet34"), r"no place for .*\(layer1\.2\.conv1\.weight"),
        (lambda: timm.create_model("resnet10t", num_classes=0), r"conv1\.weight"),
        (lambda: torch.nn.Linear(2, 2), r"lacks .*\(conv1\.weight, .* more\); at most 10%"),
        (lambda: network(name="resnet50"), r"\(layer1\.0\.conv1\.weight is .* in the file and"),
    ],
)
def test_another_architecture_is_refused_by_the_tensors_name(other, problem):
    fresh = network(2)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    with pytest.raises(GratisError, match=rf"^w\.pth: does not fit the backbone.*{problem}"):
        load(fresh, other().state_dict())
    assert all(torch.equal(value, before[name]) for name, value in fresh.state_dict().items())


def test_a_few_missing_tensors_are_tolerated_and_many_are_refused():
    state = network(1).state_dict()
    names = [name for name in state if "num_batches" not in name]
    tenth = len(state) // 10
    found = load(network(2), {k: v for k, v in state.items() if k not in names[:tenth]})
    assert found.missing == tuple(names[:tenth])
    fewer = {k: v for k, v in state.items() if k not in names[: tenth + 1]}
    with pytest.raises(GratisError, match=rf"lacks {tenth + 1} of its {len(state)} tensors"):
        load(network(2), fewer)
    strict = LoadLimits("the backbone", "use another", tolerated=0)
    with pytest.raises(GratisError, match=r"lacks 1 of its .* tensors \(conv1\.weight\); use"):
        load(network(2), {k: v for k, v in state.items() if k != "conv1.weight"}, strict)


def test_a_few_unused_tensors_are_tolerated_and_many_are_refused():
    state = network(1).state_dict()
    extra = {f"more.{i}.weight": torch.zeros(1) for i in range(len(state))}
    few = dict(list(extra.items())[: len(state) // 10])
    assert set(load(network(2), state | few).unused) == set(few)
    with pytest.raises(GratisError, match=r"no place for .* tensors \(more\.0\.weight, "):
        load(network(2), state | extra)


def test_a_wrong_shape_is_named():
    state = network().state_dict() | {"layer1.0.conv1.weight": torch.zeros(2, 2, 1, 1)}
    with pytest.raises(GratisError, match=r"layer1\.0\.conv1\.weight is 2x2x1x1 in the file and"):
        load(network(), state)


def quantised(value):
    return torch.quantize_per_tensor(value, 0.1, 0, torch.qint8)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda v: v.to(torch.int8), "int8"),
        (lambda v: v > 0, "bool"),
        (lambda v: v.to(torch.complex64), "complex64"),
        (lambda v: v.to(torch.float8_e4m3fn), "float8_e4m3fn"),
        (lambda v: v.to_sparse(), "sparse float32"),
        (lambda v: v.to("meta"), "meta"),
        (quantised, "qint8"),
        (lambda v: v / 0, "NaN or infinity"),
    ],
)
def test_odd_tensors_are_refused_by_name(change, word):
    state = network().state_dict()
    state["layer2.0.conv1.weight"] = change(state["layer2.0.conv1.weight"])
    with pytest.raises(GratisError, match=rf"w\.pth: layer2\.0\.conv1\.weight (is|holds) {word}"):
        load(network(), state)
