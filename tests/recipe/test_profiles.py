import pytest

from gratis.errors import GratisError
from gratis.recipe import load_profile, resolve
from gratis.schedule import Cosine

SMALL = """
title: small
all:
  augment: {flip: 0}
  model: {denoiser: {width: 3}, input_size: 16}
  adversary: {free: {replays: 2}, pgd: {steps: 1}}
  objective: {contrastive: {weight: 9}}
  train: {epochs: 7, learning_rate: 0.5}
by_recipe:
  free: {train: {momentum: 0.5}, augment: {hue: 0}}
  resnet18: {augment: {hue: 0}, adversary: {n_fgsm: {}}}
"""


def test_a_profile_resizes_what_a_row_has(own):
    recipe = resolve("free", own(SMALL))
    assert recipe.augment is not None
    assert (recipe.augment.flip, recipe.augment.hue) == (0, 0)
    assert recipe.adversary_settings.replays(0) == 2
    assert (recipe.train.epochs, recipe.train.momentum) == (7, 0.5)
    assert recipe.model.input_size == 16
    assert recipe.model.backbone == "resnet18"


def test_a_profile_adds_nothing_even_by_its_rows(own):
    recipe = resolve("resnet18", own(SMALL))
    assert recipe.augment is None
    assert recipe.model.denoiser is None
    assert set(recipe.adversary.chosen()) == {"natural"}
    assert set(recipe.terms) == {"cross_entropy"}


@pytest.mark.parametrize(
    "part", ["adversary: free", "adversary: {free: }", "objective: contrastive", "augment: {}"]
)
def test_a_profile_adds_nothing_by_a_word_alone(part, own):
    profile = own(f"title: t\nall:\n  {part}")
    assert resolve("resnet18", profile) == resolve("resnet18")


def test_a_profile_adds_no_denoiser_to_a_row_without_a_model(own):
    row = own("title: t\nadversary: natural\nobjective: cross_entropy")
    recipe = resolve(row, own(SMALL, "profile.yaml"))
    assert recipe.model.denoiser is None
    assert recipe.model.input_size == 16


def test_a_profile_reaches_a_part_that_is_given_by_its_word(own):
    profile = own(SMALL, "profile.yaml")
    for part in ("free", "{free: }", "{free: {}}"):
        row = own(f"title: t\nadversary: {part}\nobjective: cross_entropy")
        assert resolve(row, profile).adversary_settings.replays(0) == 2


def test_a_profile_replaces_a_schedule_as_a_whole(own):
    row = "title: t\nadversary: natural\nobjective: cross_entropy\n"
    row += "train: {learning_rate: {linear: {start: 1, stop: 0, begin: 0.5}}}"
    profile = "title: p\nall: {train: {learning_rate: {cosine: {start: 2, stop: 0}}}}"
    recipe = resolve(own(row), own(profile, "profile.yaml"))
    assert recipe.train.learning_rate == Cosine(start=2, stop=0)


@pytest.mark.parametrize(
    "text, problem",
    [
        ("title: t\nal: {}", "al: unknown key; did you mean 'all'?"),
        ("all: {}", "title: field required"),
        ("title: t\nby_recipe: {free: 3}", "by_recipe.free: input should be a valid dictionary"),
        ("title: t\nall: [1]", "all: input should be a valid dictionary"),
    ],
)
def test_a_bad_profile_is_refused_by_its_file(text, problem, own):
    path = own(text)
    with pytest.raises(GratisError) as caught:
        load_profile(path)
    assert path in str(caught.value) and problem in str(caught.value)


def test_a_profile_with_bad_values_is_refused_with_the_recipe(own, refused):
    profile = own("title: t\nall: {train: {epochs: -1}, modl: {}}")
    message = refused("free", profile)
    assert "train.epochs: input should be greater than 0" in message
    assert "modl: unknown key; did you mean 'model'?" in message
