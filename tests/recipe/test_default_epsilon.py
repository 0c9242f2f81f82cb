import pytest

from gratis.recipe import Recipe, resolve
from gratis.schedule import Constant, Linear

without_epsilon = pytest.mark.parametrize(
    "adversary", ["free", "{n_fgsm: }", "{pgd: {steps: 2}}", "{free: {replays: 2}}"]
)


@without_epsilon
def test_an_adversary_without_epsilon_follows_the_evaluation(adversary, own):
    row = f"title: t\nadversary: {adversary}\nobjective: cross_entropy\nevaluate: "
    recipe = resolve(own(row + "{epsilon: 2/255}"))
    assert recipe.adversary_settings.epsilon == Constant(value=2 / 255)


@without_epsilon
def test_an_adversary_from_an_override_follows_it_too(adversary):
    changes = ["adversary=null", f"adversary={adversary}"]
    recipe = resolve("resnet18", "digits", changes)
    assert recipe.adversary_settings.epsilon == Constant(value=38 / 255)


def test_an_adversary_with_its_own_epsilon_keeps_it():
    changes = ["adversary.free.epsilon=1/255", "evaluate.epsilon=2/255"]
    assert resolve("free", None, changes).adversary_settings.epsilon(0) == 1 / 255
    grows = resolve("contrastive-scheduled", None, ["evaluate.epsilon=2/255"])
    assert grows.adversary_settings.epsilon == Linear(start=0, stop=8 / 255, end=0.6)


def test_natural_training_has_no_epsilon():
    recipe = resolve("resnet18", None, ["evaluate.epsilon=2/255"])
    assert recipe.adversary_settings.model_dump() == {}


def test_both_default_epsilons_agree():
    recipe = resolve("free")
    assert recipe.adversary_settings.epsilon(0) == recipe.evaluate.epsilon == 8 / 255


def test_a_recipe_made_in_python_follows_the_evaluation_when_asked():
    content = {"name": "n", "title": "t", "objective": {"cross_entropy": {}}}
    content |= {"adversary": {"free": {}}, "evaluate": {"epsilon": 2 / 255}}
    recipe = Recipe.model_validate(content).with_epsilon()
    assert recipe.adversary_settings.epsilon == Constant(value=2 / 255)
    assert recipe.with_epsilon() == recipe
