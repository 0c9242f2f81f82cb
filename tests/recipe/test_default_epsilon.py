import pytest

from gratis.errors import GratisError
from gratis.evaluation.suites import tasks_of
from gratis.recipe import Recipe, resolve, resolve_rows
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
    recipe = Recipe.model_validate(content).with_norms()
    assert recipe.adversary_settings.epsilon == Constant(value=2 / 255)
    assert recipe.with_norms() == recipe


# Norms

LINEAR = "{linear: {start: 0, stop: 0.7, end: 0.6}}"


@pytest.mark.parametrize("profile", [None, "digits"])
@pytest.mark.parametrize(("name", "word"), [("free", "free"), ("n-fgsm", "n_fgsm"), ("pgd", "pgd")])
def test_training_in_l2_has_an_epsilon_of_l2_and_is_measured_in_l2(name, word, profile):
    recipe = resolve(name, profile, [f"adversary.{word}.norm=l2", "evaluate.epsilon_l2=0.6"])
    assert recipe.adversary_settings.epsilon == Constant(value=0.6)
    metrics = {task.name for task in tasks_of(recipe.evaluate)}
    assert recipe.evaluate.l2 and {"pgd", "pgd_l2", "pgd_l2_margin"} <= metrics


@pytest.mark.parametrize("order", [1, -1])
def test_an_epsilon_given_with_the_norm_is_kept(order):
    changes = ["adversary.free.norm=l2", f"adversary.free.epsilon={LINEAR}"][::order]
    recipe = resolve("free-scheduled", "digits", changes)
    assert recipe.adversary_settings.epsilon == Linear(start=0, stop=0.7, end=0.6)


def test_an_inherited_step_size_of_another_norm_is_not_kept(own):
    row = "title: t\nobjective: cross_entropy\nadversary: {free: {epsilon: 0.1, step_size: 0.1}}"
    settings = resolve(own(row), None, ["adversary.free.norm=l2"]).adversary_settings
    assert settings.epsilon == Constant(value=0.5) and settings.step_size is None


def test_an_inherited_schedule_of_another_norm_is_refused_with_a_remedy_that_works():
    changes = ["adversary.free.norm=l2"]
    with pytest.raises(GratisError, match=r"is in L-infinity; give one in L2") as refused:
        resolve("free-scheduled", "digits", changes)
    remedy = str(refused.value).partition("such as ")[2].replace("'", "")
    recipe = resolve("free-scheduled", "digits", [*changes, remedy])
    assert recipe.adversary_settings.epsilon == Linear(start=0, stop=0.5, end=0.6)


@pytest.mark.parametrize("epsilon", ["", ", epsilon: 0.9"])
def test_a_profile_does_not_bring_its_epsilon_into_l2(epsilon, own):
    row = f"title: t\nobjective: cross_entropy\nadversary: {{free: {{norm: l2{epsilon}}}}}"
    settings = resolve(own(row), "digits").adversary_settings
    assert settings.epsilon == Constant(value=0.9 if epsilon else 0.5)


def test_rows_of_a_table_follow_the_norm_too():
    changes = ["adversary.n_fgsm.norm=l2", "adversary.n_fgsm.noise=1"]
    row = next(row for row in resolve_rows("digits", changes) if row.name == "n-fgsm")
    assert row.adversary_settings.epsilon == Constant(value=0.5) and row.evaluate.l2


def test_training_in_both_norms_is_measured_in_both_unless_that_is_set():
    changes = ["adversary=null", "adversary.multi_norm.epsilon_l2=0.7"]
    assert resolve("resnet18", "digits", changes).evaluate.l2
    assert not resolve("resnet18", "digits", [*changes, "evaluate.l2=false"]).evaluate.l2
    assert resolve("free", "digits").evaluate.l2 is None
