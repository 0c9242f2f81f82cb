"""Properties of every adversary; the tests go over the folder, so that a new file is tested."""

import copy

import pytest
import safetensors.torch
import torch
from torch.nn import functional

from gratis.adversary import ADVERSARIES
from gratis.attacks import BALLS

FALLING = {"linear": {"start": 0.1, "stop": 0.02}}
LONG = {"linear": {"start": 1.5, "stop": 0.3}}

# Settings to test in addition to the defaults.
VARIANTS = {
    "cached": [
        {"epsilon": FALLING},
        {"epsilon": FALLING, "replays": 3, "step_size": 0.03},
        {"epsilon": LONG, "norm": "l2"},
    ],
    "free": [
        {"epsilon": FALLING},
        {"epsilon": FALLING, "gamma": 0.6, "delta_momentum": 0.5, "step_size": 0.03},
        {"epsilon": FALLING, "replays": 2, "reset_delta": True},
        {"epsilon": LONG, "norm": "l2"},
        {"epsilon": LONG, "norm": "l2", "delta_momentum": 0.5, "step_size": 0.6},
    ],
    "multi_norm": [
        {"epsilon": FALLING, "epsilon_l2": LONG, "replays": 2},
        {"share_l2": 0, "epsilon": FALLING},
        {"share_l2": 1, "epsilon_l2": LONG},
    ],
    "n_fgsm": [
        {"epsilon": FALLING},
        {"epsilon": FALLING, "noise": 1, "step_size": 0.125},
        {"epsilon": LONG, "norm": "l2"},
    ],
    "fgsm_rs": [
        {"epsilon": FALLING},
        {"epsilon": FALLING, "step_size": 0.125},
        {"epsilon": LONG, "norm": "l2"},
    ],
    "pgd": [
        {"epsilon": FALLING, "steps": 3},
        {"epsilon": FALLING, "steps": 1, "step_size": 0.2},
        {"epsilon": LONG, "steps": 3, "norm": "l2"},
    ],
    "assigned_fgsm": [
        {"epsilon": FALLING, "source": source}
        for source in ("same_class", "other_class", "universal")
    ],
}

# The norm that a perturbation may have at progress t.
BOUNDS = {
    "natural": lambda settings, t: 0.0,
    "cached": lambda settings, t: settings.epsilon(t),
    "free": lambda settings, t: settings.epsilon(t),
    "n_fgsm": lambda settings, t: (
        settings.noise * settings.epsilon(t) + (settings.step_size or settings.epsilon)(t)
    ),
    "fgsm_rs": lambda settings, t: settings.epsilon(t),
    "assigned_fgsm": lambda settings, t: settings.epsilon(t),
    "pgd": lambda settings, t: settings.epsilon(t),
    "multi_norm": lambda settings, t: settings.epsilon(t),
}

# The values that are logged.
DESCRIPTIONS = {
    "natural": set(),
    "cached": {"epsilon", "replays"},
    "free": {"epsilon", "replays", "gamma"},
    "n_fgsm": {"epsilon"},
    "fgsm_rs": {"epsilon"},
    "assigned_fgsm": {"epsilon"},
    "pgd": {"epsilon"},
    "multi_norm": {"epsilon", "epsilon_l2", "replays"},
}

CASES = [
    pytest.param(name, content, id=f"{name}-{number}")
    for name in ADVERSARIES
    for number, content in enumerate([{}, *VARIANTS.get(name, [])])
]
each = pytest.mark.parametrize(("name", "content"), CASES)


def settings_of(name, content):
    return ADVERSARIES[name].model_validate(content)


def train(adversary, model, batches, ts):
    """Train; return the batch, the progress and the images of every replay."""
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    shown = []
    for batch, t in zip(batches, ts, strict=True):
        for _ in range(adversary.replays(t)):
            images = adversary.perturb(model, batch, t)
            loss = functional.cross_entropy(model(images), batch.labels.repeat(batch.view_count))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            adversary.update_delta(batch, t)
            shown.append((batch, t, images.detach()))
    return shown


def within_epsilon(name, settings, delta, t):
    """Return whether a perturbation is in the norm ball, of multi_norm in one of the two."""
    norm, bound = getattr(settings, "norm", "linf"), BOUNDS[name](settings, t) + 1e-6
    inside = BALLS[norm].size(delta).max() <= bound
    if name == "multi_norm":
        inside |= BALLS["l2"].size(delta).max() <= settings.epsilon_l2(t) + 1e-6
    return bool(inside)


def test_every_adversary_is_tested():
    assert set(ADVERSARIES) == set(BOUNDS) == set(DESCRIPTIONS)


@each
@pytest.mark.parametrize("views", [1, 2])
def test_images_stay_within_epsilon_and_in_range(name, content, views, model, batch_of):
    settings = settings_of(name, content)
    sizes, ts = [5, 8, 1, 3], [0.0, 0.3, 0.6, 1.0]
    batches = [batch_of(n, views, number) for number, n in enumerate(sizes)]
    for batch, t, images in train(settings.build(0), model, batches, ts):
        assert images.shape == batch.views.shape
        assert images.dtype == batch.views.dtype
        assert images.min() >= 0
        assert images.max() <= 1
        assert within_epsilon(name, settings, images - batch.views, t)


@each
def test_a_saved_state_continues_bit_for_bit(name, content, model, batch_of, tmp_path):
    settings = settings_of(name, content)
    batches = [batch_of(n, 2, number) for number, n in enumerate([5, 8, 3, 8, 2])]
    adversary = settings.build(3)
    train(adversary, model, batches[:3], [0.0, 0.1, 0.2])
    state = {k: v.contiguous() for k, v in adversary.state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / "state.safetensors")
    resumed = settings.build(3)
    resumed.load_state_dict(safetensors.torch.load_file(tmp_path / "state.safetensors"))
    other = copy.deepcopy(model)
    continued = train(adversary, model, batches[3:], [0.3, 0.4])
    again = train(resumed, other, batches[3:], [0.3, 0.4])
    assert len(continued) == len(again)
    assert all(torch.equal(a[2], b[2]) for a, b in zip(continued, again, strict=True))
    assert all(map(torch.equal, model.state_dict().values(), other.state_dict().values()))


@each
def test_results_depend_on_the_seed_alone(name, content, model, batch_of):
    settings = settings_of(name, content)
    batches = [batch_of(4, 1, number) for number in range(3)]
    copies = [copy.deepcopy(model) for _ in range(2)]
    torch.manual_seed(1)
    first = train(settings.build(5), copies[0], batches, [0.0, 0.4, 0.8])
    torch.manual_seed(2)
    second = train(settings.build(5), copies[1], batches, [0.0, 0.4, 0.8])
    assert all(torch.equal(a[2], b[2]) for a, b in zip(first, second, strict=True))


@each
def test_the_default_device_of_the_caller_makes_no_difference(name, content, model, batch_of):
    batches = [batch_of(n, 2, number) for number, n in enumerate([4, 6])]
    other = copy.deepcopy(model)
    expected = train(settings_of(name, content).build(0), model, batches, [0.2, 0.4])
    with torch.device("meta"):
        adversary = settings_of(name, content).build(0)
        found = train(adversary, other, batches, [0.2, 0.4])
        state = adversary.state_dict()
    assert all(torch.equal(a[2], b[2]) for a, b in zip(expected, found, strict=True))
    assert all(value.device.type == "cpu" for value in state.values())


@each
def test_perturbing_does_not_change_the_model(name, content, model, batch_of):
    adversary = settings_of(name, content).build(0)
    before = copy.deepcopy(model.state_dict())
    adversary.perturb(model, batch_of(6), 0.5)
    assert all(map(torch.equal, before.values(), model.state_dict().values()))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(part.training for part in model.modules())


@each
def test_the_views_are_never_changed(name, content, model, batch_of):
    batch = batch_of(6, 2)
    views, images = batch.views.clone(), batch.images.clone()
    train(settings_of(name, content).build(0), model, [batch], [0.2])
    assert torch.equal(batch.views, views)
    assert torch.equal(batch.images, images)


@each
def test_passes_counts_the_calls_of_the_model(name, content, model, batch_of):
    adversary = settings_of(name, content).build(0)
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    adversary.perturb(model, batch_of(4), 0.0)
    assert len(calls) + 1 == adversary.passes()


@each
def test_m_replays_call_the_model_m_times_each(name, content, model, batch_of):
    adversary = settings_of(name, content).build(0)
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    train(adversary, model, [batch_of(4)], [0.0])
    assert len(calls) == adversary.replays(0.0) * adversary.passes()


@each
def test_the_description_is_plain_numbers(name, content):
    description = settings_of(name, content).build(0).describe(0.5)
    assert set(description) == DESCRIPTIONS[name]
    assert all(isinstance(value, int | float) for value in description.values())


@pytest.mark.parametrize("name", [name for name in ADVERSARIES if name != "natural"])
def test_training_images_are_harder_than_random_noise(name, model, batch_of):
    more = {"pgd": {"steps": 3}, "multi_norm": {"share_l2": 0}}
    content = {"epsilon": 0.1} | more.get(name, {})
    settings = settings_of(name, content)
    batch = batch_of(16)
    adversary = settings.build(0)

    def loss(images):
        return functional.cross_entropy(model(images), batch.labels)

    for _ in range(3):
        images = adversary.perturb(model, batch, 0.0)
        loss(images).backward()
        adversary.update_delta(batch, 0.0)
    source = torch.Generator().manual_seed(0)
    width = BOUNDS[name](settings, 0.0)
    signs = torch.rand(batch.views.shape, generator=source) < 0.5
    noise = torch.where(signs, -width, width)
    assert loss(images) > loss((batch.views + noise).clamp(0, 1)) + 0.05
