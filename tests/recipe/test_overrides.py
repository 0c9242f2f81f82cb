from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gratis.errors import GratisError
from gratis.recipe import Recipe, parse_recipe, resolve, resolve_data, resolve_rows
from gratis.recipe.overrides import PATHS
from gratis.schedule import Constant, Steps
from gratis.yaml_files import dump_yaml, parse_value


def test_overrides_merge_key_by_key_and_the_last_wins():
    recipe = resolve("free", None, ["train.epochs=3", "train.batch_size=7", "train.epochs=4"])
    assert (recipe.train.epochs, recipe.train.batch_size, recipe.train.momentum) == (4, 7, 0.9)
    assert recipe.model == resolve("free").model


def test_overrides_come_after_the_profile():
    assert resolve("free", "digits", ["train.epochs=3"]).train.epochs == 3


def test_a_schedule_is_replaced_as_a_whole(refused):
    line = "{linear: {start: 1, stop: 2, begin: 0.3}}"
    changes = [f"adversary.free.replays={line}", "adversary.free.replays={steps: {0: 1}}"]
    assert resolve("free", None, changes).adversary_settings.replays == Steps(values={0: 1})
    changes = [f"train.learning_rate={line}", "train.learning_rate=3"]
    assert resolve("free", None, changes).train.learning_rate == Constant(value=3)
    assert "learning_rate: linear.stop: field required" in refused(
        "free", None, (f"train.learning_rate={line}", "train.learning_rate.linear.start=2")
    )


def test_a_misspelt_shape_gets_a_hint(refused):
    assert "did you mean 'linear'?" in refused(
        "free", "digits", ("train.learning_rate={linaer: {start: 1, stop: 0}}",)
    )


def test_the_steps_of_pgd_are_not_a_schedule():
    changes = ["adversary.pgd.epsilon=0.1", "adversary.pgd.step_size=0.05", "adversary.pgd.steps=3"]
    pgd = resolve("pgd", None, changes).adversary_settings
    assert (pgd.steps, pgd.epsilon(0), pgd.step_size(0)) == (3, 0.1, 0.05)


def test_a_word_replaces_the_adversary_and_a_key_adds_to_it():
    recipe = resolve("resnet18", None, ["adversary=free", "adversary.free.replays=2"])
    assert recipe.adversary_settings.replays(0) == 2
    recipe = resolve("resnet18", None, ["objective.contrastive={}", "model.denoiser={}"])
    assert set(recipe.terms) == {"cross_entropy", "contrastive"}
    assert recipe.model.denoiser is not None


def test_a_term_or_the_denoiser_is_removed_by_null(refused):
    overrides = ["objective.contrastive=null", "objective.reconstruction=", "model.denoiser=null"]
    recipe = resolve("contrastive-autoencoder", "digits", overrides)
    assert set(recipe.terms) == {"cross_entropy"}
    assert recipe.model.denoiser is None
    assert "adversary: choose from" in refused("free", None, ["adversary.free=null"])


def test_a_part_is_removed_by_null():
    assert resolve("augmented", None, ["augment=null"]).augment is None
    assert resolve("augmented", None, ["augment="]).augment is None


def test_values_are_yaml():
    recipe = resolve(
        "free", "digits", ["title='a=b: c'", "data.root=/a=b", "model.channels=[1,2,3,4]"]
    )
    assert recipe.title == "a=b: c"
    assert str(recipe.data.root) == "/a=b"
    assert recipe.model.channels == (1, 2, 3, 4)


@pytest.mark.parametrize(
    "changes, problem",
    [
        (("epochs=3",), "epochs: unknown key"),
        (("train.epoch=3",), "train.epoch: unknown key; did you mean 'epochs'?"),
        (("adversary.free.epsilon=-1",), "adversary.free.epsilon: must be at least 0, not -1"),
        (("adversary.free.epsilon=8",), "adversary.free.epsilon: must be at least 0 and at most"),
        (("evaluate.epsilon=-1",), "evaluate.epsilon: input should be greater than or equal to 0"),
        (("adversary.free.replays=0",), "replays: must be at least 1, not 0"),
        (("adversary.pgd.steps=2",), "adversary: choose one of free, pgd, not several"),
        (("adversary={}", "adversary=null"), "adversary"),
        (("adversary=fre",), "adversary.fre: unknown key; did you mean 'free'?"),
        (("adversary=[free]",), "adversary: "),
        (("objective={reconstruction: {}}",), "objective.reconstruction needs model.denoiser"),
        (("objective=null",), "objective: "),
        (("data.name=digit",), "data.name: unknown data 'digit'; did you mean 'digits'?"),
        (("model.channels=[1,2,3]",), "model.channels"),
        (("model.channels=[1,2,3,0]",), "model.channels.3: input should be greater than 0"),
        (("model.channels=[1,2,3,4]", "model.pretrained=true"), "timm's weights do not fit"),
        (("train.epochs=yes",), "train.epochs: must not be true"),
        (("train.optimizer=adam",), "train.optimizer: input should be 'sgd' or 'adamw'"),
        (("augment.scale=[2, 1]",), "scale must be (low, high)"),
        (("name=[a]",), "name: input should be a valid string"),
        (("=3",), "not of the form key=value: '=3'"),
        (("train.epochs",), "not of the form key=value: 'train.epochs'"),
        (("train..epochs=3",), "not of the form key=value: 'train..epochs=3'"),
        ((".=3",), "not of the form key=value: '.=3'"),
        (("a", "train.epochs=3", "=b"), "not of the form key=value: 'a', '=b'"),
        (("train.epochs=[1",), "train.epochs=[1: not YAML"),
        (("train.epochs={a: 1, a: 2}",), "duplicate key a"),
    ],
)
def test_bad_overrides_are_refused(changes, problem, refused):
    for profile in (None, "digits"):
        assert problem in refused("free", profile, changes)


def test_all_problems_are_reported_at_once(refused):
    message = refused("free", "digits", ("train.epochs=0", "seed=x", "modle.channels=1"))
    assert message.startswith("recipe free: 3 problems\n")
    for path in ("train.epochs", "seed", "modle"):
        assert f"\n  {path}: " in message


def test_data_settings_come_from_overrides_alone():
    data = resolve_data(['data.name="digits"', "data.size=8"])
    assert (data.name, data.size) == ("digits", 8)
    with pytest.raises(GratisError, match="nam: unknown key; did you mean 'name'"):
        resolve_data(["data.nam=digits"])
    with pytest.raises(GratisError, match="data: field required"):
        resolve_data([])
    with pytest.raises(GratisError, match="train: unknown key") as caught:
        resolve_data(["data.name=digits", "train.epochs=3", "dat.size=8"])
    assert "dat: unknown key; did you mean 'data'?" in str(caught.value)


keys = st.sampled_from(
    [
        "seed",
        "name",
        "data",
        "data.name",
        "model",
        "model.denoiser",
        "model.channels",
        "augment",
        "adversary",
        "adversary.free",
        "adversary.free.replays",
        "adversary.pgd.steps",
        "adversary.fgsm",
        "adversary.fgsm.project",
        "objective",
        "objective.contrastive",
        "objective.contrastive.weight",
        "train",
        "paper",
        "train.learning_rate",
        "train.watch_every",
        "train.learning_rate.linear",
        "evaluate",
        "evaluate.epsilon",
        "x.y",
    ]
)


bodies = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 300)
    | st.floats(allow_nan=False)
    | st.sampled_from(["free", "fgsm", "8/255", "digits", "", "x"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["free", "pgd", "steps", "linear", "start", "stop", "epsilon", "then"])
            | st.sampled_from(["fgsm", "n_fgsm", "noise", "project", "step_size"])
            | st.integers(0, 1),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(keys, bodies), max_size=3), st.sampled_from(["free", "pgd", "resnet18"]))
def test_any_overrides_give_a_recipe_or_a_clear_error(changes, name):
    overrides = [f"{key}={dump_yaml(body)}" for key, body in changes]  # type: ignore[arg-type]
    try:
        recipe = resolve(name, "digits", overrides)
    except GratisError as error:
        assert str(error)
    else:
        again = parse_recipe(parse_value("again", recipe.to_yaml()), "again")
        assert again == recipe


@pytest.mark.parametrize(
    "name", ["2024", "my #1", "1e3", "yes", "2024-01-01", "a: b", "[x]", "{x}", "0x10", "*a"]
)
def test_a_path_is_taken_as_it_is(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text in (name, f"{tmp_path}/{name}"):
        assert resolve_data(["data.name=folder", f"data.root={text}"]).root == tmp_path / name


def test_a_path_may_be_quoted_or_null(tmp_path):
    root = resolve_data(["data.name=folder", f'data.root="{tmp_path}/a b"']).root
    assert root == tmp_path / "a b"
    assert resolve_data(["data.name=folder", "data.root=2024", "data.root=null"]).root is None


def test_every_path_of_a_recipe_is_known():
    found = {
        f"{section}.{key}"
        for section, field in Recipe.model_fields.items()
        for key, value in getattr(field.annotation, "model_fields", {}).items()
        if Path in (value.annotation, *get_args(value.annotation)) or "Path" in repr(value)
    }
    assert found == PATHS


def test_training_has_one_length():
    """Epochs and a budget together are refused; epochs alone replace the budget of a recipe."""
    for both in (["train.budget=20m", "train.epochs=3"], ["train={epochs: 3, budget: 9}"]):
        with pytest.raises(GratisError, match="give one of them"):
            resolve("free", "digits", both)
        with pytest.raises(GratisError, match="give one of them"):
            resolve_rows("digits", both)
    assert resolve("record/tiny-imagenet", "record").train.budget == 900
    given = resolve("record/tiny-imagenet", "record", ["train.epochs=3"]).train
    assert (given.epochs, given.budget) == (3, None)
    assert resolve("free", "photos-cpu").train.min_passes == 60_000
    assert resolve("free", "photos-cpu", ["train.epochs=3"]).train.min_passes is None
    assert resolve("free", "digits", ["train.budget=20m"]).train.budget == 1200
    assert resolve("free", "digits", ["train.epochs=3", "train.budget=null"]).train.epochs == 3
