"""Every packaged study: its variants are recipes, and its claims are about what it measures."""

import pytest

from gratis.errors import GratisError
from gratis.packaged import study_names
from gratis.results import METRICS
from gratis.study import load_study
from gratis.study.measurements import MEASUREMENTS, measurement
from gratis.study.variants import recipes_of


@pytest.fixture(params=study_names())
def packaged(request):
    return load_study(request.param)


@pytest.mark.parametrize("profile", ["digits", "tiny-imagenet-small"])
def test_variants_differ_from_each_other(packaged, profile):
    names = [recipe.name for recipe in recipes_of(packaged, profile).values()]
    assert len(set(names)) == len(names) >= 2


def test_claims_are_about_what_is_measured(packaged):
    measured = {*METRICS, *(name for m in packaged.measure for name in measurement(m).NAMES)}
    compared = [e for claim in packaged.claims for e in claim.expects]
    assert compared, "a study tests a claim"
    assert {e.metric for e in compared} <= measured
    assert {*packaged.metrics, *packaged.figure} <= measured
    assert all(e.of != e.than for e in compared)


def test_every_measurement_is_used_and_explained():
    used = {name for study in map(load_study, study_names()) for name in study.measure}
    assert used == set(MEASUREMENTS)
    for name in MEASUREMENTS:
        assert all(measurement(name).NAMES.values())


def test_studies_share_the_runs_that_they_have_in_common():
    gamma, average, schedule = (
        recipes_of(load_study(name), "digits") for name in ("gamma", "average", "schedule")
    )
    names = {gamma["gamma-1"].name, average["momentum-0"].name, schedule["constant"].name}
    assert len(names) == 1


def test_epsilon_is_that_of_the_profile():
    for profile, epsilon in (("digits", 26 / 255), ("tiny-imagenet-small", 8 / 255)):
        both = recipes_of(load_study("schedule"), profile)["both"]
        assert both.adversary_settings.epsilon.stop == pytest.approx(epsilon)


def test_epochs_are_a_factor_of_the_profile_or_the_override():
    study = load_study("plateau")
    assert recipes_of(study, "digits")["robust-5"].train.epochs == 160
    changed = recipes_of(study, "digits", ["train.epochs=2"])
    assert changed["robust-0.25"].train.epochs == 0.5


def test_own_studies_are_read_and_wrong_ones_refused(tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("title: t\nrecipe: free\nvariants: {a: {}, b: {compare_with: c}}\n")
    with pytest.raises(GratisError, match=r"mine.yaml: no variant 'c'"):
        load_study(str(own))
    own.write_text("title: t\nrecipe: free\nmeasure: [gauss]\nvariants: {a: {}, b: {}}\n")
    with pytest.raises(GratisError, match=r"did you mean 'gaussian'"):
        load_study(str(own))
    own.write_text("title: t\nrecipe: free\nvariants: {a: {}, b: {set: {train.epochs: 3}}}\n")
    assert load_study(str(own)).name == "mine"
    own.write_text("title: t\nrecipe: free\nvariants: {a: {}, b: {}, c: {versus: b, epochs: 2}}\n")
    study = load_study(str(own))
    assert study.control_of("c") == "b" and study.variants["c"].epochs_factor == 2
    with pytest.raises(GratisError, match="no study 'gama'; did you mean 'gamma'"):
        load_study("gama")
