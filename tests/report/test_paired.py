import numpy as np
import pytest

from gratis.errors import GratisError
from gratis.report import Comparison, compare, paired_to_markdown
from gratis.results.statistics import mcnemar


def correct(right, n=20, metrics=("clean", "pgd")):
    return {metric: np.arange(n) < right for metric in metrics}


def test_seeds_are_averaged_and_the_test_counts_an_image_once():
    a, b = {0: correct(15), 1: correct(17)}, {0: correct(10), 1: correct(10), 7: correct(0)}
    clean, pgd = compare(a, b)
    assert (clean.metric, pgd.metric, clean.seeds) == ("clean", "pgd", 2)
    assert clean.difference == pytest.approx(30)
    assert clean.std == pytest.approx(50**0.5)
    assert clean.p == pytest.approx(2 * 0.5**7)  # 7 discordant images, all one way
    (swapped, _) = compare(b, a)
    assert swapped.difference == pytest.approx(-30) and swapped.p == clean.p


def test_one_seed_has_no_deviation():
    (line, _) = compare({0: correct(12)}, {0: correct(10)})
    assert line.std is None
    assert line.p == mcnemar(correct(12)["clean"], correct(10)["clean"])


def test_identical_seeds_are_no_more_evidence():
    a, b = correct(15), correct(10)
    (one, _), (three, _) = (compare({s: a for s in n}, {s: b for s in n}) for n in ([0], range(3)))
    assert three.p == one.p and three.seeds == 3


def test_only_shared_metrics_are_compared():
    (line,) = compare({0: correct(12)}, {0: correct(10, metrics=("pgd", "transfer"))})
    assert line.metric == "pgd"


def test_runs_that_cannot_be_paired_are_refused():
    with pytest.raises(GratisError, match="no seed"):
        compare({0: correct(1)}, {1: correct(1)})
    with pytest.raises(GratisError, match="different images"):
        compare({0: correct(1)}, {0: correct(1, n=19)})


def test_markdown():
    lines = compare({0: correct(15)}, {0: correct(3, metrics=["clean"])})
    text = paired_to_markdown([Comparison("Scheduled", "Free", lines)])
    assert "on the same images" in text.splitlines()[0] and "sign-flip" in text.splitlines()[0]
    assert text.endswith(
        "| row | builds on | seeds | clean |\n| --- | --- | ---: | ---: |\n"
        "| Scheduled | Free | 1 | +60.0, p < 0.001 |\n"
    )
    two = [correct(15), correct(17)], [correct(10), correct(10)]
    lines = compare(*(dict(enumerate(runs)) for runs in two))
    assert "+30.0 ±7.1, p 0.016" in paired_to_markdown([Comparison("a", "b", lines)])


def test_titles_are_escaped():
    lines = compare({0: {"clean": np.ones(9, bool)}}, {0: {"clean": np.ones(9, bool)}})
    line = paired_to_markdown([Comparison("a | <b>", "c", lines)]).splitlines()[-1]
    assert line.startswith("| a \\| &lt;b&gt; | c | 1 |")
