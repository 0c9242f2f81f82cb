"""``Adversary.replay`` in a plain training loop: what it yields, and what it refuses."""

import copy
import inspect

import pytest
import torch
from torch.nn import functional

from gratis.adversary import ADVERSARIES
from gratis.adversary.cached import CachedFreeAT
from gratis.adversary.free import FreeAT
from gratis.adversary.natural import Natural
from gratis.data import Batch
from gratis.errors import GratisError
from gratis.schedule import Schedule, linear

# The class of each adversary, by its word in a recipe.
CLASSES = {name: type(settings().build(0)) for name, settings in ADVERSARIES.items()}
each = pytest.mark.parametrize("name", ADVERSARIES)


def images_of(n=4, number=0):
    source = torch.Generator().manual_seed(number)
    images = torch.rand((n, 3, 8, 8), generator=source)
    return images, torch.randint(4, (n,), generator=source)


def split_of(name, n=4):
    """Return the arguments that only the cached adversary needs."""
    return {"indices": torch.arange(n), "split_size": 9} if name == "cached" else {}


def train(adversary, model, images, labels, t=0.0, **split):
    """Train as a user does; return the images that were trained on."""
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    seen = []
    for x in adversary.replay(model, images, labels, t, **split):
        loss = functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(x.detach().clone())
    return seen


@each
def test_a_constructor_has_the_defaults_of_its_settings(name):
    settings = ADVERSARIES[name]()
    parameters = inspect.signature(CLASSES[name]).parameters
    assert set(parameters) - {"seed"} == set(type(settings).model_fields)
    built, constructed = settings.build(0), CLASSES[name]()
    assert type(built) is type(constructed)
    if name != "natural":  # which has no settings
        assert built.settings == constructed.settings == settings
    assert built.replays(0.5) == constructed.replays(0.5)
    assert built.state_dict().keys() == constructed.state_dict().keys()


def scheduled_fields():
    """Yield (adversary, field) for every setting that may be a schedule."""
    for name, kind in ADVERSARIES.items():
        for field, value in kind():
            if isinstance(value, Schedule) or field == "step_size":
                yield name, field


@pytest.mark.parametrize(("name", "field"), list(scheduled_fields()))
@pytest.mark.parametrize("value", [1, 0.5, linear(0.25, 1)], ids=["int", "float", "schedule"])
def test_numbers_and_schedules_are_accepted(name, field, value):
    if field == "replays" and not isinstance(value, int):
        value = 2.5 if isinstance(value, float) else linear(1, 3)
    given = getattr(CLASSES[name](**{field: value}).settings, field)
    expected = value(0.5) if isinstance(value, Schedule) else value
    assert given(0.5) == expected


def test_the_scheduled_fields_are_found():
    assert {field for _, field in scheduled_fields()} == {
        *("replays", "epsilon", "step_size", "gamma", "delta_momentum", "epsilon_l2", "share_l2")
    }


@pytest.mark.parametrize("value", [-0.1, 1.5, "wide", None])
def test_a_wrong_value_is_an_error_that_names_the_setting(value):
    with pytest.raises(GratisError, match=r"FreeAT: epsilon"):
        FreeAT(epsilon=value)


@each
def test_every_adversary_works_in_a_loop(name, model):
    content = {"epsilon": 0.1} if name != "natural" else {}
    adversary = CLASSES[name](**content)
    images, labels = images_of()
    seen = train(adversary, model, images, labels, **split_of(name))
    assert len(seen) == adversary.replays(0.0)
    seen += train(adversary, model, images, labels, **split_of(name))
    assert all(x.shape == images.shape and x.min() >= 0 and x.max() <= 1 for x in seen)
    assert adversary.perturbs == (name != "natural")
    assert torch.equal(seen[-1], images) == (not adversary.perturbs)


@each
def test_it_is_perturb_and_observe_for_every_replay(name, model):
    images, labels = images_of()
    split, other = split_of(name), copy.deepcopy(model)
    seen = train(CLASSES[name](), model, images, labels, 0.5, **split)
    adversary, batch = CLASSES[name](), Batch.of(images, labels, **split)
    optimizer = torch.optim.SGD(other.parameters(), 0.05)
    for x in seen:
        perturbed = adversary.perturb(other, batch, 0.5)
        assert torch.equal(x, perturbed)
        optimizer.zero_grad()
        functional.cross_entropy(other(perturbed), labels).backward()
        optimizer.step()
        adversary.update_delta(batch, 0.5)


def test_delta_persists_over_batches(model):
    free = FreeAT(epsilon=0.1, replays=2)
    images, labels = images_of()
    train(free, model, images, labels)
    delta = free.state_dict()["delta"][0].clone()
    assert delta.abs().max() > 0.09
    others, other_labels = images_of(number=1)
    first = train(free, model, others, other_labels)[0]
    torch.testing.assert_close(first, (others + delta).clamp(0, 1))
    # A short batch uses the first rows.
    delta = free.state_dict()["delta"][0].clone()
    first = train(free, model, others[:2], other_labels[:2])[0]
    torch.testing.assert_close(first, (others[:2] + delta[:2]).clamp(0, 1))


def forgotten(model, x, labels):
    functional.cross_entropy(model(x), labels)


def detached(model, x, labels):
    functional.cross_entropy(model(x.detach()), labels).backward()


def without_gradients(model, x, labels):
    with torch.no_grad():
        functional.cross_entropy(model(x), labels)


def of_others(model, x, labels):
    functional.cross_entropy(model(torch.rand_like(x)), labels).backward()


@pytest.mark.parametrize("name", ["free", "cached"])
@pytest.mark.parametrize("step", [forgotten, detached, without_gradients, of_others])
def test_images_without_a_gradient_are_an_error_at_the_next_replay(step, name, model):
    adversary = CLASSES[name](replays=3)
    images, labels = images_of()
    replays = adversary.replay(model, images, labels, **split_of(name))
    step(model, next(replays), labels)
    with pytest.raises(GratisError, match=r"received no gradient; call loss\.backward\(\)"):
        next(replays)


def test_it_is_an_error_at_the_last_replay_too(model):
    images, labels = images_of()
    with pytest.raises(GratisError, match="received no gradient"):
        for x in FreeAT(replays=1).replay(model, images, labels):
            forgotten(model, x, labels)


def test_natural_replays_need_no_gradient(model):
    images, labels = images_of()
    for adversary in (Natural(), FreeAT(gamma=0)):
        for x in adversary.replay(model, images, labels):
            assert torch.equal(x, images)


def test_gamma_mixes_natural_replays_in(model):
    free = FreeAT(gamma=0.5, replays=40, epsilon=0.1)
    images, labels = images_of()
    seen = train(free, model, images, labels)
    natural = sum(torch.equal(x, images) for x in seen)
    assert 8 < natural < 32


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (images_of()[0] * 255, images_of()[1]),
        (images_of()[0] - 0.5, images_of()[1]),
        (images_of()[0], images_of()[1].float()),
    ],
)
def test_wrong_images_and_labels_are_refused(images, labels, model):
    with pytest.raises(GratisError, match=r"images: needs values in|labels: needs"):
        next(FreeAT().replay(model, images, labels))


def test_the_cached_adversary_asks_for_indices(model):
    with pytest.raises(GratisError, match="indices"):
        next(CachedFreeAT().replay(model, *images_of()))


@pytest.mark.parametrize("t", [-0.1, 1.5, 50, float("nan")])
def test_progress_outside_its_range_is_refused(t):
    images, labels = torch.rand(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(GratisError, match=r"progress is in \[0, 1\]"):
        next(FreeAT().replay(torch.nn.Identity(), images, labels, t))
