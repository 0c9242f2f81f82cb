"""The sanity checks in the report: their table, their remarks and their effect on the summary."""

import re
from itertools import count

import numpy as np
import pytest

from gratis.evaluation.attack_disagreement import attack_disagreement
from gratis.evaluation.sanity_attacks import SanityAttacks
from gratis.evaluation.sanity_checks import CHECKS, too_weak
from gratis.report import group, read_runs, write_page
from gratis.report.remarks import OVERFITTING
from gratis.report.sections import PASSED
from gratis.report.summary import summarise

NATURAL = {"resolved": {"adversary": {"natural": {}}}}


@pytest.fixture
def said(run_folder, tmp_path):
    """Return the summary on runs with the given changes, named r0, r1, ..."""

    calls = count()

    def judged(*changes):
        under = tmp_path / str(next(calls))
        folders = [
            run_folder(f"r{place}", under=under, **change) for place, change in enumerate(changes)
        ]
        runs = read_runs(folders).runs
        return summarise(group([run.results for run in runs]), runs, None)

    return judged


def test_every_check_has_a_description():
    none = np.zeros(4, dtype=bool)
    attacks = ("noise", "fgsm", "few", "many", "huge", "transfer")
    flags = dict.fromkeys(attacks, none)
    vanished = {"margin": none, "logit": none}
    seen = SanityAttacks(4, 1.0, 0.0, vanished, flags, np.ones((3, 2, len(none), 5)))
    names = {check(seen).name for check in (too_weak, *CHECKS)}
    tasks = dict.fromkeys(("clean", "pgd_margin", "square"), none)
    names |= {check.name for check in attack_disagreement(tasks, tasks)}
    assert names == PASSED.keys() and OVERFITTING in PASSED


def test_the_page_shows_what_each_check_found_and_what_to_do(run_folder, check, tmp_path):
    checks = (check(True), check(False, "gradient", vanished=0.125))
    found = read_runs([run_folder("a", suite="full", checks=checks), run_folder("b")])
    write_page(found, [], tmp_path / "report")
    html, markdown = (
        (tmp_path / "report" / f"report.{kind}").read_text() for kind in ("html", "md")
    )
    for text in (html, markdown):
        (section,) = re.findall(
            "Is the accuracy under attack reliable.*?Figure 1", text, flags=re.DOTALL
        )
        plain = re.sub("<[^>]*>|[*]", "", section)
        assert "1 of 2 checks failed" in plain and "attacks have a gradient" in plain
        assert (
            "vanished 12.5%" in plain and "accuracy under PGD-50 2.1%" in plain and "150" in plain
        )
        remedy = (
            "It fails where &lt;x&gt; is surely so: why. The gradients are masked; do not quote"
        )
        assert plain.count(remedy) == 1
        assert len(re.findall("Without checks.*b-seed0", section)) == 1
    assert 'href="#checks"' in html and 'id="checks"' in html
    assert "A §" in html and "B §" not in html and "§ failed sanity checks" in html


def test_runs_without_checks_have_no_such_section(run_folder, tmp_path):
    found = read_runs([run_folder()])
    write_page(found, [], tmp_path / "report")
    assert "reliable?" not in (tmp_path / "report" / "report.html").read_text()


def test_a_model_that_failed_ranks_first_only_with_a_remark(said, check):
    failed = {"pgd": 0.5, "checks": (check(True), check(False, "gradient"))}
    summary = said({"pgd": 0.1}, failed)
    assert "is the most robust" not in summary.headline
    assert summary.headline.startswith("“R1” ranks first of 2 models: ")
    assert summary.headline.endswith("But it failed sanity checks.")
    assert summary.remarks[0] == (
        "Sanity checks failed, so the accuracy under attack is not reliable: “R1” failed gradient."
    )


def test_every_model_that_failed_is_named(said, check):
    failed = {"checks": (check(False, "gradient"), check(False, "random noise"))}
    summary = said({"pgd": 0.5, "checks": (check(True),)}, failed, failed)
    assert "“R0” is the most robust" in summary.headline and "failed" not in summary.headline
    assert summary.remarks[0].endswith(
        "“R1” failed gradient, random noise; “R2” failed gradient, random noise."
    )
    alike = said({"n": 100, "checks": (check(False, "gradient"),)}, {})
    assert "not measured alike" in alike.headline and "“R0” failed gradient" in alike.remarks[0]


def test_the_check_on_overfitting_decides_for_a_run_that_has_it(said, check):
    overfitted = {"fgsm": 0.6, "pgd": 0.02}
    denied = "No model that was trained under attack shows catastrophic overfitting."
    assert said(overfitted | {"checks": (check(True),)}).remarks == [denied]
    shown = said({"fgsm": 0.2, "pgd": 0.19, "checks": (check(False),)}).remarks
    assert shown[1:] == [
        "“R0” shows catastrophic overfitting: on the 150 images of the sanity check it survives "
        "a single step and fails under many (accuracy under FGSM 60%; accuracy under PGD-50 2.1%)."
    ]
    # The other checks do not decide.
    assert "“R0” shows" in said(overfitted | {"checks": (check(True, "gradient"),)}).remarks[0]
    assert said(overfitted | NATURAL | {"checks": (check(True),)}).remarks == [
        "None of these models was trained under attack."
    ]
