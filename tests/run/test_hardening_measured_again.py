"""Hardened runs whose norm or evaluation differs from that of the first measurement."""

import shutil

import pytest

import gratis
from gratis.attacks import BALLS
from gratis.errors import GratisError
from gratis.recipe import resolve
from gratis.report import what_changed
from gratis.run import frontier, train

TINY = ["model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3"]
SHORT = ["evaluate.images=30", "evaluate.pgd_steps=2", "train.batch_size=32"]


@pytest.fixture(scope="module", autouse=True)
def few_models():
    """Measure two models of the frontier, to save time."""
    patch = pytest.MonkeyPatch()
    patch.setattr(frontier, "ALPHAS", (0.0, 1.0))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def natural(tmp_path_factory):
    """A finished natural run; to be read only."""
    path = tmp_path_factory.mktemp("natural") / "natural"
    train(resolve("resnet18", "digits", [*TINY, *SHORT, "train.epochs=2"]), path)
    return path


def harden(model, path, *overrides, **options):
    changes = [*SHORT, "train.epochs=1", *overrides]
    return gratis.harden(model, out=path, budget=None, overrides=changes, **options)


@pytest.fixture(scope="module")
def in_l2(natural, tmp_path_factory):
    """The natural run hardened in L2; to be read only."""
    return harden(natural, tmp_path_factory.mktemp("l2") / "run", norm="l2")


def test_hardening_in_l2_has_an_l2_epsilon_and_is_chosen_in_l2(in_l2):
    recipe, found = in_l2.recipe(), in_l2.frontier()
    assert recipe.adversary_settings.norm == "l2"
    assert max(recipe.adversary_settings.epsilon.bounds()) == 0.5
    assert (found.norm, found.epsilon) == ("l2", 0.5)
    assert [epsilon for epsilon, _ in found.points[0].curve] == [0, 0.25, 0.5]


def test_hardening_in_l2_is_measured_in_l2_before_and_after(in_l2):
    results = in_l2.results()
    tasks = {
        task.name: task.settings["attack"] for task in results.tasks if "attack" in task.settings
    }
    assert (tasks["pgd_l2"]["norm"], tasks["pgd_l2"]["epsilon"]) == ("l2", 0.5)
    assert tasks["pgd"]["norm"] == "linf"
    before, after = results.before.robust_l2, results.robust_l2
    text = what_changed(results)
    assert text.startswith("Hardened in L2 at epsilon 0.5 in ")
    expected = f"“table” {100 * before:.1f}% before, {100 * after:.1f}% after."
    assert text.endswith(f"under every L2 attack of the suite {expected}")


def test_an_epsilon_in_l2_may_exceed_one(natural, tmp_path):
    with pytest.raises(GratisError, match="at most 1"):
        harden(natural, tmp_path / "run", epsilon=2)
    with pytest.raises(GratisError, match="norm: choose from linf, l2, not 'l1'"):
        harden(natural, tmp_path / "run", norm="l1")
    with pytest.raises(GratisError, match="hardening sets this key"):
        harden(natural, tmp_path / "run", "adversary.free.norm=l2")
    assert set(BALLS) == {"linf", "l2"} and not any(tmp_path.iterdir())


def test_another_epsilon_of_the_evaluation_measures_everything_again(in_l2, natural, tmp_path):
    run = shutil.copytree(in_l2.path, tmp_path / "run")
    trained = (run / "checkpoint.safetensors").read_bytes()
    changes = ["evaluate.epsilon_l2=0.2", "evaluate.epsilon=2/255"]
    again = harden(natural, run, *changes, norm="l2")
    assert (run / "checkpoint.safetensors").read_bytes() == trained
    found = again.frontier()
    assert found.epsilon == 0.2 and found.points[0].curve[-1][0] == 0.2
    measured = [again.results(), gratis.run.RunFolder(again.natural).results()]
    for results in measured:
        assert results.resolved["evaluate"]["epsilon_l2"] == 0.2
        assert results.epsilon == pytest.approx(2 / 255)
    assert again.results().before.robust_l2 == measured[1].robust_l2


def test_a_class_layer_that_fits_is_replaced_where_that_is_asked(natural, tmp_path):
    run = harden(natural, tmp_path / "run", "model.new_class_layer=true", "train.epochs=2")
    assert run.recipe().harden.natural_training is not None
    assert not run.recipe().model.new_class_layer
    assert (run.natural / "checkpoint.safetensors").is_file()
