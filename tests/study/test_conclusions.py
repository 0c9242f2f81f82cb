"""What a study concludes, and its pages."""

import pytest

from gratis.errors import GratisError
from gratis.study import claims_page, read_results, write_study
from gratis.study.conclusion import conclude
from gratis.study.page import study_page

LOW, HIGH = (50.0, 51.0, 49.0), (60.0, 61.5, 59.0)
NOISY = (40.0, 75.0, 52.0)


def word(study, results):
    return conclude(study.claims[0], study, results).word


def test_a_claim_holds_if_everything_is_found(study, measured):
    results = measured(a={"clean": LOW, "pgd": LOW}, b={"clean": HIGH, "pgd": HIGH})
    found = conclude(study().claims[0], study(), results)
    assert found.word == "holds"
    assert "clean of “the <other>” minus “a” +10.2 (95% interval +9.4 to +10.9" in found.sentence


@pytest.mark.parametrize(
    "clean, pgd, expected",
    [
        (HIGH, NOISY, "holds in part"),
        (HIGH, (40.0, 41.5, 38.0), "holds in part"),
        ((40.0, 41.5, 38.0), NOISY, "does not hold"),
        (NOISY, NOISY, "not shown"),
        (LOW, LOW, "not shown"),
    ],
)
def test_conclusions(study, measured, clean, pgd, expected):
    results = measured(a={"clean": LOW, "pgd": LOW}, b={"clean": clean, "pgd": pgd})
    assert word(study(), results) == expected


def test_one_seed_shows_nothing(study, measured):
    results = measured(a={"clean": (50.0,)}, b={"clean": (90.0,)})
    found = conclude(study().claims[0], study(), results)
    assert found.word == "not shown" and "one seed" in found.sentence


def test_what_was_not_measured_is_said(study, measured):
    assert word(study(), None) == "not measured yet"
    assert word(study(), measured(a={"fgsm": LOW}, b={"fgsm": LOW})) == "not measured yet"


def test_a_claim_of_which_a_part_was_not_measured_holds_in_part(study, measured):
    assert word(study(), measured(a={"clean": LOW}, b={"clean": HIGH})) == "holds in part"


@pytest.mark.parametrize(
    "b, expected", [((50.5, 51.4, 49.6), "holds"), (HIGH, "does not hold"), (NOISY, "not shown")]
)
def test_equality_needs_an_interval_within_bounds(study, measured, b, expected):
    same = {"expect": "same", "metric": "clean", "of": "b", "than": "a", "within": 2}
    claimed = study(claims=[{"paper": "no difference", "expects": [same]}])
    assert word(claimed, measured(a={"clean": LOW}, b={"clean": b})) == expected


def test_the_page_has_values_differences_and_conclusions(study, measured):
    results = measured(a={"clean": LOW, "extra": LOW}, b={"clean": HIGH, "pgd": HIGH})
    page = study_page(study(), results)
    assert "| variant | seeds | clean | pgd | extra | passes | seconds |" in page
    assert "| the &lt;other&gt; | 3 | 60.2 ±1.3 | 60.2 ±1.3 | n/a | 1.0k | 2 |" in page
    assert "| the &lt;other&gt; | a | +10.2 ±0.3 [+9.4, +10.9], p < 0.001 | n/a | n/a |" in page
    assert "    gratis study small\n" in page and "paired t-test" in page
    one = study_page(study(), measured(a={"clean": (50.0,)}, b={"clean": (90.0,)}))
    assert "| minus |" not in one and "One seed" in one and "±" not in one


@pytest.mark.parametrize("placed", [True, False])
def test_a_study_is_written_and_read_again(study, measured, tmp_path, placed):
    variants = {"a": {"x": 0}, "b": {"x": 0.5}} if placed else {"a": {}, "b": {}}
    results = measured(a={"clean": LOW, "pgd": LOW}, b={"clean": HIGH})
    write_study(study(variants=variants), results, tmp_path / "out")
    assert (tmp_path / "out/figure.png").read_bytes().startswith(b"\x89PNG")
    assert read_results(tmp_path / "out") == results
    assert read_results(tmp_path) is None


def test_damaged_results_are_refused(study, measured, tmp_path):
    results = measured(a={"clean": LOW}, b={"clean": HIGH})
    wrong = results.model_copy(update={"seeds": 2})
    wrong.write(tmp_path)
    with pytest.raises(GratisError, match=r"study.json: the number of values"):
        read_results(tmp_path)


def test_a_note_is_beside_the_conclusion(study):
    (claim,) = study().model_dump()["claims"]
    noted = study(claims=[claim | {"note": "Other tables | disagree."}])
    page = claims_page([noted], lambda name: [])
    assert "**Not measured yet.**\n\nOther tables | disagree." in page.replace("\\|", "|")


def test_the_papers_claims_one_by_one(study, measured):
    results = measured(a={"clean": LOW, "pgd": LOW}, b={"clean": HIGH, "pgd": HIGH})
    page = claims_page([study()], lambda name: [(results, "results/studies/digits/small")])
    assert "> b is better." in page and "**Holds** on `digits`" in page
    assert "](results/studies/digits/small/study.md)" in page
    unmeasured = claims_page([study()], lambda name: [])
    assert "**Not measured yet.**" in unmeasured and "gratis study small" in unmeasured
