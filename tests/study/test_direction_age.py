"""The worth of a cached delta against its age, on a short run."""

import pytest

from gratis.recipe import resolve
from gratis.run import load_run
from gratis.run.training import train_only
from gratis.study.measurements import MeasuredRun, measurement

SMALL = ["model.channels=[8, 8, 8, 8]", "train.epochs=6", "evaluate.images=20"]


@pytest.fixture
def measured(tmp_path):
    def measure(*overrides):
        path = tmp_path / str(len(overrides))
        train_only(resolve("free", "digits", [*SMALL, *overrides]), path)
        model, _, recipe, dataset = load_run(path)
        run = MeasuredRun(model, dataset, None, recipe.evaluate.epsilon, 0, 50, path)
        return measurement("direction_age").measure(run)

    return measure


def test_a_cached_delta_fools_a_model_and_a_new_one_more(measured):
    names = measurement("direction_age").NAMES
    epsilon = "adversary.cached.epsilon=26/255"
    found = measured("adversary=cached", epsilon, "adversary.cached.replays=1")
    assert set(found) == set(names)
    assert found["age_fresh"] < found["age_none"]
    assert max(found[name] for name in names if name[4].isdigit()) < found["age_none"]
    assert min(found[name] for name in names if name[4].isdigit()) >= found["age_fresh"]


def test_other_adversaries_have_no_cache(measured):
    assert measured() == {}
