"""Old names of keys, recipes and rows: accepted for one release, with one warning."""

import logging

import pytest

from gratis import renames
from gratis.errors import GratisError
from gratis.packaged import recipe_names, recipe_path, row_name
from gratis.recipe import (
    choose_rows,
    load_profile,
    parse_recipe,
    read_recipe,
    resolve,
    resolve_rows,
    with_overrides,
)

ROW = "title: t\nobjective: cross_entropy\n"


@pytest.fixture(autouse=True)
def warned(caplog):
    """Return the warnings so far, of a process that has not warned before."""
    renames.warn_once.cache_clear()
    caplog.set_level(logging.WARNING, "gratis")
    return lambda: [record.getMessage() for record in caplog.records]


def adversary_of(recipe):
    ((word, settings),) = recipe.adversary.chosen().items()
    return word, settings


@pytest.mark.parametrize("adversary", ["fgsm", "{fgsm: }", "{fgsm: {}}", "{fgsm: {noise: 2}}"])
def test_fgsm_in_a_recipe_is_n_fgsm(own, warned, adversary):
    word, settings = adversary_of(resolve(own(f"{ROW}adversary: {adversary}")))
    assert (word, settings.noise) == ("n_fgsm", 2)
    (message,) = warned()
    assert message.startswith("adversary.fgsm is now called adversary.n_fgsm")


def test_an_old_word_behaves_as_the_present_one(own):
    old = own(f"{ROW}adversary: {{fgsm: {{noise: 1, project: false}}}}\ntrain: {{watch_every: 3}}")
    new = own(f"{ROW}adversary: {{n_fgsm: {{noise: 1}}}}\ntrain: {{monitor_every_epochs: 3}}")
    assert resolve(old) == resolve(new)
    assert resolve(old, "digits") == resolve(new, "digits")


@pytest.mark.parametrize(
    ("body", "step_size"),
    [
        ("{noise: 1, project: true, step_size: 10/255}", 10 / 255),
        ("{noise: 1.0, project: true, epsilon: 4/255}", 4 / 255),
        ("{noise: 1, project: true, epsilon: 4/255, step_size: }", 4 / 255),
    ],
)
def test_projected_fgsm_is_fgsm_rs_with_the_same_step(own, warned, body, step_size):
    word, settings = adversary_of(resolve(own(f"{ROW}adversary: {{fgsm: {body}}}")))
    assert (word, settings.step_size(0)) == ("fgsm_rs", step_size)
    (message,) = warned()
    assert "adversary.fgsm_rs" in message


@pytest.mark.parametrize(
    "body",
    ["{project: true}", "{noise: 2, project: true, step_size: 0.1}", "{noise: 1, project: true}"],
)
def test_projected_fgsm_without_an_equivalent_is_refused(own, refused, body):
    message = refused(own(f"{ROW}adversary: {{fgsm: {body}}}"))
    assert "adversary.fgsm.project" in message and "write adversary: fgsm_rs" in message


def test_a_profile_may_have_old_words_and_rows(own, warned):
    profile = own(
        "title: t\nleave_out: [fast]\nrows: {pgd: {train: {watch_every: 7}}}\n"
        "all: {adversary: {fgsm: {epsilon: 1/255}}, train: {watch_every: 5}}"
    )
    assert load_profile(profile).leave_out == ("n-fgsm",)
    assert "n-fgsm" not in [row.name for row in resolve_rows(profile)]
    assert resolve("n-fgsm", profile).adversary_settings.epsilon(0) == 1 / 255
    assert resolve("n-fgsm", profile).train.monitor_every_epochs == 5
    assert resolve("pgd", profile).train.monitor_every_epochs == 7
    assert len(warned()) == 4


def test_overrides_may_have_old_words(warned):
    overrides = ["adversary.fgsm.epsilon=1/255", "train.watch_every=9"]
    recipe = resolve("n-fgsm", "digits", overrides)
    assert recipe.adversary_settings.epsilon(0) == 1 / 255
    assert recipe.train.monitor_every_epochs == 9
    assert with_overrides(resolve("n-fgsm"), overrides).train.monitor_every_epochs == 9
    word, _ = adversary_of(resolve("free", None, ["adversary=fgsm"]))
    assert word == "n_fgsm"
    assert len(warned()) == 2


def test_overrides_of_all_rows_may_have_old_words():
    rows = resolve_rows("digits", ["adversary.fgsm.epsilon=1/255", "adversary.fgsm.project=false"])
    epsilons = {row.name: adversary_of(row)[1].epsilon(0) for row in rows if row.name == "n-fgsm"}
    assert epsilons == {"n-fgsm": 1 / 255}


def test_the_recipe_of_an_older_run_is_read(tmp_path, warned):
    path = tmp_path / "recipe.yaml"
    text = resolve("n-fgsm", "digits").to_yaml()
    old = text.replace("n_fgsm:", "fgsm:").replace("noise: 2.0", "noise: 2.0\n    project: false")
    path.write_text(old.replace("monitor_every_epochs", "watch_every"), encoding="utf-8")
    assert "fgsm:\n" in old and "project" in old
    assert read_recipe(path) == resolve("n-fgsm", "digits")
    assert len(warned()) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fast", "n-fgsm"),
        ("record/fast", "record/n-fgsm"),
        ("record/random-start", "record/fgsm-rs"),
    ],
)
def test_a_packaged_recipe_is_found_by_its_old_name(warned, old, new):
    assert resolve(old, "digits") == resolve(new, "digits")
    assert recipe_path(old) == recipe_path(new)
    rows = [resolve(name) for name in (new, "free")]
    for name in (old, row_name(old)):
        assert [row.name for row in choose_rows(rows, [name])] == [row_name(new)]
    assert set(warned()) == {
        f"{old} is now called {new}; the next release refuses the old name",
        f"{row_name(old)} is now called {row_name(new)}; the next release refuses the old name",
    }


def test_keys_at_the_top_may_have_their_old_names(own, warned, refused):
    recipe = resolve(own(f"{ROW}adversary: natural\nbuilds_on: record-fast\nrow: 3"))
    assert (recipe.compare_with, recipe.order) == ("record-n-fgsm", 3)
    assert len(warned()) == 3
    assert "row: input should be" in refused(own(f"{ROW}adversary: natural\nrow: x"))


def test_the_natural_training_of_an_older_hardened_run_is_read(warned):
    train = {"log_every": 3, "checkpoint_minutes": 2, "monitor_every": 4}
    content = {"name": "n", "title": "t", "adversary": "natural", "objective": "cross_entropy"}
    old = parse_recipe(content | {"train": train, "harden": {"adapt": train}}, "here")
    for settings in (old.train, old.harden.natural_training):
        assert (settings.log_every_steps, settings.monitor_every_epochs) == (3, 4)
        assert settings.checkpoint_every_minutes == 2
    assert len(warned()) == 7
    path = "harden.adapt.log_every"
    assert renames.present_path(path) == "harden.natural_training.log_every_steps"


def test_a_recipe_of_the_users_own_keeps_its_name(own, warned):
    assert resolve(own(f"{ROW}adversary: natural", "fast.yaml")).name == "fast"
    assert not warned()


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("adversary.fgsm.epsilon=-1", "adversary.fgsm.epsilon: must be at least 0"),
        ("adversary.fgsm.epsilonn=1", "adversary.fgsm.epsilonn: unknown key; did you mean"),
        ("adversary.fgsm.project=x", "adversary.fgsm.project"),
        ("train.watch_every=0", "train.watch_every: input should be greater than 0"),
    ],
)
def test_errors_name_the_word_that_was_written(refused, override, problem):
    assert problem in refused("n-fgsm", None, (override,))
    assert "n_fgsm." not in refused("n-fgsm", None, (override,))


def test_errors_of_all_rows_name_the_override_as_it_was_written():
    with pytest.raises(GratisError, match=r"^adversary\.fgsm\.noise=1: no recipe has this key"):
        resolve_rows("tiny-imagenet", ["adversary=natural", "adversary.fgsm.noise=1"])


TRAIN = {
    "train.average": "train.ema_decay",
    "train.count": "train.epoch_unit",
    "train.decay_all": "train.decay_norms_and_biases",
    "train.held_out": "train.held_out_per_class",
}
VALUES = {"train.average": 0.9, "train.count": "images", "train.decay_all": False}


@pytest.mark.parametrize(("old", "new"), [*TRAIN.items(), ("adversary.free.reset", None)])
def test_a_renamed_key_means_the_same(warned, old, new):
    new, value = new or "adversary.free.reset_delta", VALUES.get(old, 1)
    assert resolve("free", None, [f"{old}={value}"]) == resolve("free", None, [f"{new}={value}"])
    assert resolve("free", None, [f"{old}={value}"]) != resolve("free")
    (message,) = warned()
    assert message.startswith(f"{old} is now called {new};")


def test_stored_names_become_the_present_ones_without_a_warning(warned):
    settings = {"average": 0.9, "count": "passes", "decay_all": True, "held_out": 5, "epochs": 1}
    stored = {"name": "fast", "adversary": {"free": {"reset": True}}, "train": settings}
    present = renames.present_names(stored)
    assert present["name"] == "fast" and present["adversary"] == {"free": {"reset_delta": True}}
    assert present["train"] == {
        "ema_decay": 0.9,
        "epoch_unit": "passes",
        "decay_norms_and_biases": True,
        "held_out_per_class": 5,
        "epochs": 1,
    }
    assert renames.present_path("adversary.fgsm.noise") == "adversary.n_fgsm.noise"
    assert renames.present_names(present) == present
    assert not warned()


def test_a_key_under_both_names_is_refused():
    content = {"name": "n", "title": "t", "adversary": "natural", "objective": "cross_entropy"}
    with pytest.raises(
        GratisError, match=r"train\.watch_every is now called train\.monitor_every_epochs"
    ):
        parse_recipe(content | {"train": {"watch_every": 1, "monitor_every_epochs": 2}}, "here")


def test_an_old_name_warns_once(warned):
    for _ in range(3):
        resolve("fast", "digits", ["train.watch_every=2"])
    assert len(warned()) == 2


def test_no_packaged_recipe_or_profile_has_an_old_name(warned):
    for name in recipe_names():
        resolve(name, "digits")
    assert not warned()
    assert not set(recipe_names()) & set(renames.RECIPES)
