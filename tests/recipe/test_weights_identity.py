import pytest

from gratis.errors import GratisError
from gratis.recipe import resolve, with_evaluation


@pytest.mark.parametrize(
    "change",
    [
        "seed=1",
        "train.epochs=3",
        "train.budget=60",
        "train.learning_rate=0.5",
        "model.input_size=32",
        "augment.flip=0",
        "augment=null",
        "adversary.free.replays=2",
        "adversary=natural",
        "objective.cross_entropy.smoothing=0.1",
        "evaluate.epsilon=1/255",  # which free training follows
    ],
)
def test_keys_that_determine_the_weights_change_the_identity(change):
    recipe = resolve("resnet18", None, ["augment={}", "adversary=free"])
    other = resolve("resnet18", None, ["augment={}", "adversary=free", change])
    assert other != recipe
    assert other.weights_identity() != recipe.weights_identity()


@pytest.mark.parametrize(
    "change",
    [
        "data.root=/other",
        "evaluate.pgd_steps=3",
        "evaluate.images=10",
        "evaluate.epsilon=1/255",
        "title=other",
        "name=other",
        "order=99",
    ],
)
def test_other_keys_leave_the_identity_alone(change):
    recipe, other = resolve("resnet18", "digits"), resolve("resnet18", "digits", [change])
    assert other != recipe
    assert other.weights_identity() == recipe.weights_identity()


@pytest.mark.parametrize(
    "change, alike",
    [
        ("title=other", True),
        ("data.root=/other", True),
        ("evaluate.pgd_steps=3", True),
        ("train.log_every_steps=3", True),
        ("compare_with=resnet18", True),
        ("data.classes=3", False),
        ("seed=1", False),
        ("train.epochs=3", False),
    ],
)
def test_which_recipes_train_alike(change, alike):
    recipe = resolve("free", "digits")
    assert (
        resolve("free", "digits", [change]).weights_identity() == recipe.weights_identity()
    ) == alike


def test_only_the_evaluation_of_a_trained_run_may_change():
    recipe = resolve("free", "digits")
    changed = with_evaluation(recipe, ["evaluate.pgd_steps=3", "evaluate.epsilon=8/255"])
    assert (changed.evaluate.pgd_steps, changed.evaluate.epsilon) == (3, 8 / 255)
    assert changed.model_copy(update={"evaluate": recipe.evaluate}) == recipe
    assert changed.weights_identity() == recipe.weights_identity()
    assert with_evaluation(recipe, []) == recipe


@pytest.mark.parametrize(
    "change",
    [
        "train.epochs=1",
        "train.log_every_steps=1",
        "seed=1",
        "title=t",
        "name=n",
        "data.root=/a",
        "order=3",
    ],
)
def test_no_other_key_of_a_trained_run_may_change(change):
    with pytest.raises(GratisError, match=r"can only change evaluate\.\* keys"):
        with_evaluation(resolve("free", "digits"), ["evaluate.pgd_steps=3", change])


def test_data_that_moved_is_named_by_an_option():
    recipe = resolve("free", "digits")
    with pytest.raises(GratisError, match="where its data is now with --data-root DIR, or other"):
        with_evaluation(recipe, ["data.root=/a"])
    with pytest.raises(GratisError, match="train into a new folder"):
        with_evaluation(recipe, ["data.root=/a", "seed=1"])


def test_wrong_keys_of_the_evaluation_are_refused():
    with pytest.raises(GratisError, match="did you mean 'pgd_steps'"):
        with_evaluation(resolve("free", "digits"), ["evaluate.pgd_step=3"])
