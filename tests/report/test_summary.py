"""The summary: true, and no stronger than the numbers allow."""

from dataclasses import replace

import numpy as np
import pytest

from gratis.report import group
from gratis.report.log_lines import LogLine
from gratis.report.runs import Run
from gratis.report.summary import summarise
from gratis.results.measurement import Measurement

ATTACKED = {"resolved": {"adversary": {"free": {}}}}


@pytest.fixture
def runs(result, tmp_path):
    """Make runs with the given changes, named a, b, ...; the first images are correct."""

    def make(*changes, log=()):
        made = []
        for place, change in enumerate(changes):
            results = result("abcdef"[place], **(ATTACKED | change))
            index = np.arange(results.n)
            correct = {"pgd": index < round(results.pgd * results.n)}
            made.append(Run(tmp_path, results, Measurement(index, correct), log))
        return made

    return make


def summary(runs, images=None):
    return summarise(group([run.results for run in runs]), runs, images)


def test_a_clear_lead_is_called_the_most_robust(runs):
    said = summary(runs({"pgd": 0.2}, {"pgd": 0.5}, {"pgd": 0.1}))
    assert said.headline == (
        "“B” is the most robust of 3 models: under PGD-20 at epsilon 8/255, the strongest attack "
        "measured, it classifies 50.0% of the 200 validation images correctly (95% interval 43.1 "
        "to 56.9), 30.0 points more than the next, “A” (p < 0.001 over the images, for this "
        "pair of models). Without an attack its accuracy is 80.0%."
    )
    assert said.best == "b"


def test_a_lead_that_is_not_significant_is_not_called_robust(runs):
    # Two images more: the exact McNemar test of 2 against 0 gives 2 * (1/2)**2.
    said = summary(runs({"pgd": 0.51}, {"pgd": 0.5}))
    assert "ranks first of 2 models, but the lead is not significant" in said.headline
    assert "(p 0.5 over the images, for this pair of models)" in said.headline


def test_without_the_same_images_there_is_no_test(runs):
    a, b = runs({"pgd": 0.5}, {"pgd": 0.2})
    b.measurement.index[:] += 1
    said = summary([a, b]).headline
    assert said.startswith("“A” ranks first of 2 models: ") and "(p " not in said


def test_a_single_model_is_not_compared(runs):
    said = summary(runs({"pgd": 0.5}))
    assert said.headline.startswith("“A”: under PGD-20") and said.best is None


def test_a_model_without_robustness_is_not_called_robust(runs):
    said = summary(runs({"pgd": 0.0, "fgsm": 0.0}, {"pgd": 0.0, "fgsm": 0.0}))
    assert said.headline.startswith("No model has any accuracy under PGD-20") and said.best is None


@pytest.mark.parametrize(
    "change",
    [
        *({"epsilon": 4 / 255}, {"n": 100}, {"data": "cifar10"}, {"pgd_steps": 50}),
        {"suite": "standard"},
    ],
)
def test_models_that_were_measured_differently_are_not_compared(runs, change):
    said = summary(runs({"pgd": 0.5}, {"pgd": 0.2} | change))
    (field,) = change
    assert "not measured alike" in said.headline and field in said.headline
    assert said.best is None


def test_a_reference_is_outside_the_comparison(runs):
    said = summary(runs({"pgd": 0.2}, {"pgd": 0.5, "reference": True, "passes": 110_000.0}))
    assert said.headline.startswith("“A”: ")
    assert said.remarks[0] == (
        "Outside the comparison at equal compute, “B” has an accuracy of 50.0% with 2.0 times "
        "the passes."
    )


def test_catastrophic_overfitting_is_named_where_a_model_trained_under_attack(runs):
    overfitted = {"fgsm": 0.6, "pgd": 0.02}
    natural = overfitted | {"resolved": {"adversary": {"natural": {}}}}
    (remark,) = summary(runs(overfitted, {"pgd": 0.2}, natural)).remarks
    assert remark.startswith("“A” shows catastrophic overfitting") and "FGSM 60.0%" in remark
    assert summary(runs({"pgd": 0.2}, natural)).remarks == [
        "No model that was trained under attack shows catastrophic overfitting."
    ]
    assert summary(runs(natural)).remarks == ["None of these models was trained under attack."]


def test_overfitting_is_not_denied_where_it_was_not_measured(runs):
    (remark,) = summary(runs({"pgd": 0.2}, {"pgd": 0.2, "fgsm": None})).remarks
    assert remark == "Without FGSM and PGD results, catastrophic overfitting is not visible."


def test_within_one_suite_the_worst_case_decides(runs):
    suite = {"suite": "full", "pgd": 0.3}
    a, b = runs(suite | {"robust": 0.2}, suite | {"robust": 0.1})
    for run in (a, b):
        run.measurement.correct["robust"] = np.arange(200) < 200 * run.results.robust
    said = summary([a, b]).headline
    assert said.startswith("“A” is the most robust of 2 models: under all L-infinity attacks of ")
    assert (
        "the suite “full” at epsilon 8/255, the strongest attack measured, it classifies 20.0%"
        in said
    )


def test_without_white_box_attacks_the_papers_own_set_decides(runs):
    suite = {"suite": "paper", "pgd": None, "fgsm": None, "transfer": None}
    (run,) = runs({})
    run = replace(run, results=run.results.model_copy(update=suite))
    said = summary([run]).headline
    assert "under FGSM on the baseline, with geometric noise, at epsilon 8/255" in said


def test_overfitting_in_training_is_named(runs):
    log = [
        LogLine(epoch=1, held_out={"clean": 0.9, "fgsm": 0.5, "pgd": 0.4}),
        LogLine(epoch=2, held_out={"clean": 0.9, "fgsm": 0.8, "pgd": 0.1}),
        LogLine(epoch=3, held_out={"clean": 0.9, "fgsm": 0.5, "pgd": 0.4}),
    ]
    (remark,) = summary(runs({"pgd": 0.2}, log=log)).remarks
    assert "after epoch 2.0" in remark
    assert "No model" in summary(runs({"pgd": 0.2}, log=log[:1])).remarks[0]


def test_rising_pgd_in_training_is_not_overfitting(runs):
    series = [(0.2, 0.0), (0.4, 0.16), (0.6, 0.24), (0.7, 0.28)]
    log = [
        LogLine(epoch=epoch, held_out={"clean": 0.9, "fgsm": fgsm, "pgd": pgd})
        for epoch, (fgsm, pgd) in enumerate(series)
    ]
    (remark,) = summary(runs({"pgd": 0.28, "fgsm": 0.7}, log=log)).remarks
    assert "is not robust yet" in remark and "overfitting" not in remark
    assert "No model" in summary(runs({"pgd": 0.28, "fgsm": 0.4}, log=log)).remarks[0]


def test_the_headline_names_a_subset(runs):
    asked = {"resolved": {"adversary": {"free": {}}, "evaluate": {"images": 200}}}
    assert "a subset of 200 validation images" in summary(runs(asked)).headline
    assert "a subset of 200 of the 10,000 validation" in summary(runs(asked), 10_000).headline
    assert "the 200 validation images" in summary(runs(asked), 200).headline
    assert "the 200 validation images" in summary(runs({})).headline


def test_several_seeds_are_one_model(result, runs, tmp_path):
    a, b = runs({"pgd": 0.5}, {"pgd": 0.2})
    seeds = [
        Run(tmp_path, result("a", seed, pgd=0.5, **ATTACKED), a.measurement, ())
        for seed in range(3)
    ]
    said = summary([*seeds, b])
    assert "of 2 models" in said.headline and "mean of 3 seeds" in said.headline
