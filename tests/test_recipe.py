import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gratis
from gratis.errors import GratisError
from gratis.recipe import (
    Recipe,
    choose_rows,
    load_profile,
    read_recipe,
    resolve,
    resolve_data,
    resolve_rows,
    with_evaluation,
)
from gratis.recipe.resolution import row_name
from gratis.registry import profile_names, recipe_names, recipe_path
from gratis.schedule import Constant, Cosine, Linear, Steps
from gratis.yaml_files import dump_yaml, parse_value, read_yaml

GUIDE = Path(__file__).parents[1] / "docs" / "recipes.md"
RECIPES = Path(gratis.__file__).parent / "recipes"
NAMES = [p.relative_to(RECIPES).with_suffix("").as_posix() for p in RECIPES.rglob("*.yaml")]
PROFILES = [None, *profile_names()]
PAPER = recipe_names("")
# Tuned by itself, and no row of its ladder.
RECORD = "record/tiny-imagenet"
# Every profile with the recipes of its table; none takes the paper's as they are.
TABLES = {p: recipe_names(load_profile(p).recipes) if p else PAPER for p in PROFILES}

every_row = pytest.mark.parametrize("name", sorted(NAMES))
every_profile = pytest.mark.parametrize("profile", PROFILES)
row_of_its_table = pytest.mark.parametrize(
    ("profile", "name"), [(profile, name) for profile, names in TABLES.items() for name in names]
)


def own(tmp_path: Path, text: str, name: str = "mine.yaml") -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def refused(name: str, profile: str | None = None, overrides: tuple[str, ...] = ()) -> str:
    with pytest.raises(GratisError) as caught:
        resolve(name, profile, overrides)
    return str(caught.value)


# Every row, with every profile


def test_the_folder_holds_the_catalogue():
    assert sorted(NAMES) == sorted(recipe_names())
    assert len(NAMES) >= 16


@every_profile
@every_row
def test_every_row_resolves_and_survives_its_file(name, profile, tmp_path):
    recipe = resolve(name, profile)
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    again = read_recipe(path)
    assert again == recipe
    assert again.to_yaml() == recipe.to_yaml()
    assert again.decides() == recipe.decides()


@row_of_its_table
def test_a_profile_adds_no_part_to_a_row(name, profile):
    bare, resized = resolve(name), resolve(name, profile)
    assert set(resized.adversary.chosen()) == set(bare.adversary.chosen())
    assert set(resized.terms) == set(bare.terms)
    assert (resized.augment is None) == (bare.augment is None)
    assert (resized.model.denoiser is None) == (bare.model.denoiser is None)
    assert resized.model.backbone == bare.model.backbone
    assert resized.model.freeze_backbone == bare.model.freeze_backbone
    assert (resized.name, resized.row, resized.title) == (bare.name, bare.row, bare.title)
    assert (resized.baseline, resized.reference) == (bare.baseline, bare.reference)
    assert (resized.paper, resized.seed) == (bare.paper, bare.seed)


@every_profile
def test_rows_of_one_backbone_cost_the_same(profile):
    rows = [resolve(name, profile) for name in TABLES[profile] if name != RECORD]
    compared = [row for row in rows if not row.reference]
    assert all(row.train.count == "passes" for row in compared)
    for backbone in {row.model.backbone for row in compared}:
        alike = [row for row in compared if row.model.backbone == backbone]
        assert len({row.train.epochs for row in alike}) == 1, backbone
    # What is compared differs in method, not in the data, the network's size or the measurement.
    assert len({row.data for row in rows}) == 1
    assert len({row.evaluate for row in rows}) == 1
    assert len({(r.model.input_size, r.model.pretrained, r.model.stem) for r in rows}) == 1


@every_profile
def test_one_row_is_the_baseline_and_it_is_natural(profile):
    rows = [resolve(name, profile) for name in TABLES[profile]]
    (baseline,) = [row for row in rows if row.baseline]
    assert set(baseline.adversary.chosen()) == {"natural"}
    # In the paper's table augmentation is a row of its own.
    assert (baseline.augment is None) == (TABLES[profile] == PAPER)


@every_profile
def test_every_row_trains_to_defend_against_the_same_epsilon(profile):
    # Digits keep too little clean accuracy when trained at the epsilon that they are attacked with.
    rows = [resolve(name, profile) for name in TABLES[profile] if name != RECORD]
    expected = {"digits": 26 / 255}.get(profile, rows[0].evaluate.epsilon)
    for recipe in rows:
        epsilon = getattr(recipe.adversary_settings, "epsilon", None)
        if epsilon is not None:
            assert epsilon(1) == pytest.approx(expected), recipe.name
            assert epsilon(1) <= recipe.evaluate.epsilon


@every_row
def test_every_row_builds_on_one_that_comes_before_it(name):
    recipe = resolve(name)
    assert (recipe.builds_on is None) == recipe.baseline
    table = {row_name(each): each for each in recipe_names(name.rpartition("/")[0])}
    if recipe.builds_on is not None:
        assert resolve(table[recipe.builds_on]).row < recipe.row


@every_profile
def test_training_ends_at_a_learning_rate_no_higher_than_any_before(profile):
    rate = resolve(TABLES[profile][0], profile).train.learning_rate
    if not isinstance(rate, Constant):
        assert rate(1) == min(rate(t / 100) for t in range(50, 101))


def test_rows_carry_what_the_paper_reports():
    paper = {name: resolve(name).paper for name in NAMES}
    assert paper["contrastive-scheduled"].fgsm_transfer == 42
    assert paper["resnet18"].geometric == 32
    assert paper["resnet50"].geometric == 20
    assert paper["augmented"].geometric == 35
    assert paper["contrastive-free"].fgsm_transfer == 16
    assert paper["contrastive-autoencoder"].fgsm_transfer == 24


def test_the_scheduled_row_grows():
    free = resolve("contrastive-scheduled").adversary_settings
    for growing in (free.replays, free.epsilon):
        values = [growing(t / 100) for t in range(101)]
        assert values == sorted(values) and values[0] < values[-1]


# Profiles


SMALL = """
title: small
all:
  augment: {flip: 0}
  model: {denoiser: {width: 3}, input_size: 16}
  adversary: {free: {replays: 2}, pgd: {steps: 1}}
  objective: {contrastive: {weight: 9}}
  train: {epochs: 7, learning_rate: 0.5}
rows:
  free: {train: {momentum: 0.5}, augment: {hue: 0}}
  resnet18: {augment: {hue: 0}, adversary: {n_fgsm: {}}}
"""


def test_a_profile_resizes_what_a_row_has(tmp_path):
    recipe = resolve("free", own(tmp_path, SMALL))
    assert recipe.augment is not None
    assert (recipe.augment.flip, recipe.augment.hue) == (0, 0)
    assert recipe.adversary_settings.replays(0) == 2
    assert (recipe.train.epochs, recipe.train.momentum) == (7, 0.5)
    assert recipe.model.input_size == 16
    assert recipe.model.backbone == "resnet18"


def test_a_profile_adds_nothing_even_by_its_rows(tmp_path):
    recipe = resolve("resnet18", own(tmp_path, SMALL))
    assert recipe.augment is None
    assert recipe.model.denoiser is None
    assert set(recipe.adversary.chosen()) == {"natural"}
    assert set(recipe.terms) == {"cross_entropy"}


@pytest.mark.parametrize(
    "part", ["adversary: free", "adversary: {free: }", "objective: contrastive", "augment: {}"]
)
def test_a_profile_adds_nothing_by_a_word_alone(tmp_path, part):
    profile = own(tmp_path, f"title: t\nall:\n  {part}")
    assert resolve("resnet18", profile) == resolve("resnet18")


def test_a_profile_adds_no_denoiser_to_a_row_without_a_model(tmp_path):
    row = own(tmp_path, "title: t\nadversary: natural\nobjective: cross_entropy")
    recipe = resolve(row, own(tmp_path, SMALL, "profile.yaml"))
    assert recipe.model.denoiser is None
    assert recipe.model.input_size == 16


def test_a_profile_reaches_a_part_that_is_given_by_its_word(tmp_path):
    profile = own(tmp_path, SMALL, "profile.yaml")
    for part in ("free", "{free: }", "{free: {}}"):
        row = own(tmp_path, f"title: t\nadversary: {part}\nobjective: cross_entropy")
        assert resolve(row, profile).adversary_settings.replays(0) == 2


def test_a_profile_replaces_a_schedule_as_a_whole(tmp_path):
    row = "title: t\nadversary: natural\nobjective: cross_entropy\n"
    row += "train: {learning_rate: {linear: {start: 1, stop: 0, begin: 0.5}}}"
    profile = "title: p\nall: {train: {learning_rate: {cosine: {start: 2, stop: 0}}}}"
    recipe = resolve(own(tmp_path, row), own(tmp_path, profile, "profile.yaml"))
    assert recipe.train.learning_rate == Cosine(start=2, stop=0)


@pytest.mark.parametrize(
    "text, problem",
    [
        ("title: t\nal: {}", "al: unknown key; did you mean 'all'?"),
        ("all: {}", "title: field required"),
        ("title: t\nrows: {free: 3}", "rows.free: input should be a valid dictionary"),
        ("title: t\nall: [1]", "all: input should be a valid dictionary"),
    ],
)
def test_a_bad_profile_is_refused_by_its_file(tmp_path, text, problem):
    path = own(tmp_path, text)
    with pytest.raises(GratisError) as caught:
        load_profile(path)
    assert path in str(caught.value) and problem in str(caught.value)


def test_a_profile_with_bad_values_is_refused_with_the_recipe(tmp_path):
    profile = own(tmp_path, "title: t\nall: {train: {epochs: -1}, modl: {}}")
    message = refused("free", profile)
    assert "train.epochs: input should be greater than 0" in message
    assert "modl: unknown key; did you mean 'model'?" in message


# Overrides


def test_overrides_merge_key_by_key_and_the_last_wins():
    recipe = resolve("free", None, ["train.epochs=3", "train.batch_size=7", "train.epochs=4"])
    assert (recipe.train.epochs, recipe.train.batch_size, recipe.train.momentum) == (4, 7, 0.9)
    assert recipe.model == resolve("free").model


def test_overrides_come_after_the_profile():
    assert resolve("free", "digits", ["train.epochs=3"]).train.epochs == 3


def test_a_schedule_is_replaced_as_a_whole():
    line = "{linear: {start: 1, stop: 2, begin: 0.3}}"
    changes = [f"adversary.free.replays={line}", "adversary.free.replays={steps: {0: 1}}"]
    assert resolve("free", None, changes).adversary_settings.replays == Steps(values={0: 1})
    changes = [f"train.learning_rate={line}", "train.learning_rate=3"]
    assert resolve("free", None, changes).train.learning_rate == Constant(value=3)
    assert "learning_rate: linear.stop: field required" in refused(
        "free", None, (f"train.learning_rate={line}", "train.learning_rate.linear.start=2")
    )


def test_a_misspelt_shape_over_another_gets_its_hint():
    assert "did you mean 'linear'?" in refused(
        "free", "digits", ("train.learning_rate={linaer: {start: 1, stop: 0}}",)
    )


def test_the_steps_of_pgd_are_no_schedule():
    changes = ["adversary.pgd.epsilon=0.1", "adversary.pgd.step_size=0.05", "adversary.pgd.steps=3"]
    pgd = resolve("pgd", None, changes).adversary_settings
    assert (pgd.steps, pgd.epsilon(0), pgd.step_size(0)) == (3, 0.1, 0.05)


def test_a_word_replaces_the_adversary_and_a_key_adds_to_it():
    recipe = resolve("resnet18", None, ["adversary=free", "adversary.free.replays=2"])
    assert recipe.adversary_settings.replays(0) == 2
    recipe = resolve("resnet18", None, ["objective.contrastive={}", "model.denoiser={}"])
    assert set(recipe.terms) == {"cross_entropy", "contrastive"}
    assert recipe.model.denoiser is not None


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


# Epsilon


without_epsilon = pytest.mark.parametrize(
    "adversary", ["free", "{n_fgsm: }", "{pgd: {steps: 2}}", "{free: {replays: 2}}"]
)


@without_epsilon
def test_an_adversary_without_epsilon_follows_the_evaluation(tmp_path, adversary):
    row = f"title: t\nadversary: {adversary}\nobjective: cross_entropy\nevaluate: "
    recipe = resolve(own(tmp_path, row + "{epsilon: 2/255}"))
    assert recipe.adversary_settings.epsilon == Constant(value=2 / 255)


@without_epsilon
def test_so_does_one_from_an_override(adversary):
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


# Identity


@pytest.mark.parametrize(
    "change",
    [
        "seed=1",
        "train.epochs=3",
        "train.learning_rate=0.5",
        "model.input_size=32",
        "augment.flip=0",
        "augment=null",
        "adversary.free.replays=2",
        "adversary={natural: {}}",
        "objective.cross_entropy.smoothing=0.1",
        "evaluate.epsilon=1/255",  # which free training follows
    ],
)
def test_what_decides_the_weights_changes_the_identity(change):
    recipe = resolve("resnet18", None, ["augment={}", "adversary=free"])
    other = resolve("resnet18", None, ["augment={}", "adversary=free", change])
    assert other != recipe
    assert other.decides() != recipe.decides()


@pytest.mark.parametrize(
    "change",
    [
        "data.root=/elsewhere",
        "evaluate.pgd_steps=3",
        "evaluate.images=10",
        "evaluate.epsilon=1/255",
        "title=other",
        "name=other",
        "row=99",
    ],
)
def test_what_does_not_leaves_it(change):
    recipe, other = resolve("resnet18", "digits"), resolve("resnet18", "digits", [change])
    assert other != recipe
    assert other.decides() == recipe.decides()


# What is refused


@pytest.mark.parametrize(
    "changes, problem",
    [
        (("epochs=3",), "epochs: unknown key"),
        (("train.epoch=3",), "train.epoch: unknown key; did you mean 'epochs'?"),
        (("adversary.free.epsilon=-1",), "adversary.free.epsilon: must be at least 0 and at most"),
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
        (("model.channels=[1,2,3,4]", "model.pretrained=true"), "pretrained weights do not fit"),
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
def test_bad_overrides_are_refused(changes, problem):
    for profile in (None, "digits"):
        assert problem in refused("free", profile, changes)


def test_all_problems_come_at_once():
    message = refused("free", "digits", ("train.epochs=0", "seed=x", "modle.channels=1"))
    assert message.startswith("recipe free: 3 problems\n")
    for path in ("train.epochs", "seed", "modle"):
        assert f"\n  {path}: " in message


def test_unknown_names_are_refused():
    assert "did you mean 'free'?" in refused("fre")
    assert "did you mean 'digits'?" in refused("free", "digit")


@pytest.mark.parametrize(
    "text, problem",
    [
        ("title: t", "adversary: "),
        ("title: t\nadversary: natural\nobjective: {}", "objective: choose from"),
        ("adversary: natural\nobjective: cross_entropy", "title: field required"),
        ("title: t\nadversary: {natural, free}\nobjective: cross_entropy", "not several"),
        ("title: t\nadversary: natural\nobjective: cross_entropy\nseed: 1.5", "seed: "),
        ("- a", "holds no keys and values"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, text, problem):
    assert problem in refused(own(tmp_path, text))
    assert problem in refused(own(tmp_path, text), "digits")


def test_a_run_without_a_recipe_is_refused(tmp_path):
    with pytest.raises(GratisError, match="cannot be read"):
        read_recipe(tmp_path / "recipe.yaml")


def test_data_settings_come_from_overrides_alone():
    data = resolve_data(['data.name="digits"', "data.size=8"])
    assert (data.name, data.size) == ("digits", 8)
    with pytest.raises(GratisError, match="nam: unknown key; did you mean 'name'"):
        resolve_data(["data.nam=digits"])
    with pytest.raises(GratisError, match="data: input should be"):
        resolve_data([])
    with pytest.raises(GratisError, match="no key 'train', 'dat'"):
        resolve_data(["data.name=digits", "train.epochs=3", "dat.size=8"])


# All rows


@pytest.mark.parametrize("profile", ["digits", "tiny-imagenet-small", "record-small"])
def test_all_rows_of_a_profile_in_the_order_of_the_table(profile):
    left_out = load_profile(profile).leave_out
    expected = {row_name(n): n for n in TABLES[profile] if row_name(n) not in left_out}
    rows = resolve_rows(profile)
    assert [row.name for row in rows] == list(expected)
    assert all(row == resolve(expected[row.name], profile) for row in rows)


def test_a_profile_of_a_folder_without_recipes_is_refused(tmp_path):
    with pytest.raises(GratisError, match="recipes: no packaged recipes in 'recrod'"):
        resolve_rows(own(tmp_path, "title: t\nrecipes: recrod"))


def test_an_override_changes_the_rows_that_have_the_part_and_no_other():
    plain = resolve_rows("digits")
    rows = resolve_rows("digits", ["augment.rotation=30", "adversary.pgd.steps=2"])
    for row, before in zip(rows, plain, strict=True):
        assert (row.augment is None) == (before.augment is None)
        assert row.augment is None or row.augment.rotation == 30
        assert row.adversary.chosen().keys() == before.adversary.chosen().keys()
        if before.augment is None:
            assert row == before
    assert any(row.augment is None for row in rows)
    (attacked,) = {row.adversary.pgd.steps for row in rows if row.adversary.pgd}
    assert attacked == 2


def test_an_override_of_all_rows_reaches_all():
    assert {row.train.epochs for row in resolve_rows("digits", ["train.epochs=2"])} == {2}
    assert {row.data.classes for row in resolve_rows("digits", ["data.classes=3"])} == {3}


def test_an_override_that_no_row_has_is_refused(tmp_path):
    others = [name for name in NAMES if not name.startswith("pgd")]
    without = [name for name in NAMES if name not in others]
    profile = own(tmp_path, dump_yaml({"title": "t", "leave_out": without}))
    with pytest.raises(GratisError, match=r"adversary\.pgd\.steps=2: no row has this key"):
        resolve_rows(profile, ["train.epochs=2", "adversary.pgd.steps=2"])
    with pytest.raises(GratisError, match=r"train\.epoch: unknown key; did you mean 'epochs'"):
        resolve_rows("digits", ["train.epoch=2"])
    with pytest.raises(GratisError, match="not of the form key=value: 'a', 'b'"):
        resolve_rows("digits", ["a", "b"])


def test_a_profile_cannot_leave_out_what_is_not_there(tmp_path):
    with pytest.raises(GratisError, match="no row to leave out 'fre'; did you mean 'free'"):
        resolve_rows(own(tmp_path, "title: t\nleave_out: [fre]"))


def test_rows_are_chosen_by_name():
    rows = resolve_rows("digits")
    assert choose_rows(rows, []) == rows
    assert [row.name for row in choose_rows(rows, ["free", "augmented"])] == ["augmented", "free"]
    with pytest.raises(GratisError, match="no row 'fre'; did you mean 'free'"):
        choose_rows(rows, ["augmented", "fre"])


# A trained run's recipe


def test_only_the_evaluation_of_a_trained_run_may_change():
    recipe = resolve("free", "digits")
    changed = with_evaluation(recipe, ["evaluate.pgd_steps=3", "evaluate.epsilon=8/255"])
    assert (changed.evaluate.pgd_steps, changed.evaluate.epsilon) == (3, 8 / 255)
    assert changed.model_copy(update={"evaluate": recipe.evaluate}) == recipe
    assert changed.decides() == recipe.decides()
    assert with_evaluation(recipe, []) == recipe


@pytest.mark.parametrize(
    "change",
    ["train.epochs=1", "train.log_every=1", "seed=1", "title=t", "name=n", "data.root=/a", "row=3"],
)
def test_nothing_else_of_a_trained_run_may_change(change):
    with pytest.raises(GratisError, match=r"can only change evaluate\.\* keys"):
        with_evaluation(resolve("free", "digits"), ["evaluate.pgd_steps=3", change])


def test_wrong_keys_of_the_evaluation_are_refused():
    with pytest.raises(GratisError, match="did you mean 'pgd_steps'"):
        with_evaluation(resolve("free", "digits"), ["evaluate.pgd_step=3"])


@pytest.mark.parametrize(
    "change, alike",
    [
        ("title=other", True),
        ("data.root=/elsewhere", True),
        ("evaluate.pgd_steps=3", True),
        ("train.log_every=3", True),
        ("builds_on=resnet18", True),
        ("data.classes=3", False),
        ("seed=1", False),
        ("train.epochs=3", False),
    ],
)
def test_which_recipes_train_alike(change, alike):
    recipe = resolve("free", "digits")
    assert (resolve("free", "digits", [change]).decides() == recipe.decides()) == alike


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
        "objective",
        "objective.contrastive",
        "objective.contrastive.weight",
        "train",
        "paper",
        "train.learning_rate",
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
    | st.sampled_from(["free", "8/255", "digits", "", "x"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["free", "pgd", "steps", "linear", "start", "stop", "epsilon", "then"])
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
        again = Recipe.model_validate(parse_value("again", recipe.to_yaml()))
        assert again == recipe


# The guide


def snippets(language: str) -> list[str]:
    text = GUIDE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_guide_has_snippets_of_every_kind():
    found = [set(parse_value("guide", text)) for text in snippets("yaml")]
    assert any({"title", "adversary", "objective"} <= keys for keys in found)
    assert any({"title", "all", "rows"} <= keys for keys in found)
    assert len(snippets("sh")) == 2
    assert len(re.findall("^```", GUIDE.read_text(), re.MULTILINE)) == 2 * (len(found) + 2)


@pytest.mark.parametrize("text", snippets("yaml"))
def test_every_snippet_of_the_guide_resolves(tmp_path, text):
    content = parse_value("guide", text)
    if "all" in content:
        profile = own(tmp_path, text)
        assert set(load_profile(profile).leave_out) <= set(NAMES)
        assert set(load_profile(profile).rows) <= set(NAMES)
        for name in NAMES:
            assert resolve(name, profile) != resolve(name)
        return
    needed = {"title": "t", "adversary": "natural", "objective": "cross_entropy"}
    resolve(own(tmp_path, dump_yaml(needed | content)))


def test_the_recipe_of_the_guide_is_what_it_says(tmp_path):
    (text,) = [text for text in snippets("yaml") if "smoothed" in text]
    recipe = resolve(own(tmp_path, text))
    assert recipe.name == "mine"
    assert recipe.adversary_settings.epsilon == Linear(start=0, stop=8 / 255, end=0.5)
    assert recipe.terms["cross_entropy"].smoothing == 0.1


def commands() -> list[list[str]]:
    lines = "".join(snippets("sh")).splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [line for line in words if "=" in line[-1]]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_override_of_the_guide_resolves(words):
    gratis, train, name, *rest = words
    assert (gratis, train) == ("gratis", "train")
    profile = rest.pop(rest.index("--profile") + 1) if "--profile" in rest else None
    overrides = [word for word in rest if word != "--profile"]
    assert overrides
    assert resolve(name, profile, overrides) != resolve(name, profile)


def test_the_guide_names_every_key():
    text = GUIDE.read_text(encoding="utf-8")
    for name, field in Recipe.model_fields.items():
        assert f"`{name}`" in text
        inner = getattr(field.annotation, "model_fields", {})
        for key in inner if name not in ("augment",) else ():
            assert f"`{key}`" in text, f"{name}.{key}"


def test_a_copied_recipe_resolves_as_the_packaged_one(tmp_path):
    for name in NAMES:
        copy = own(
            tmp_path, recipe_path(name).read_text(encoding="utf-8"), f"{row_name(name)}.yaml"
        )
        assert resolve(copy, "digits") == resolve(name, "digits")
        assert read_yaml(Path(copy)) == read_yaml(recipe_path(name))
