import numpy as np
import pytest
from scipy.stats import ttest_rel

from gratis.errors import GratisError
from gratis.report import Comparison, compare, paired_to_markdown
from gratis.results.statistics import mcnemar


def correct(right, n=20, metrics=("clean", "pgd")):
    return {metric: np.arange(n) < right for metric in metrics}


def test_several_seeds_are_tested_by_their_differences():
    a, b = {0: correct(15), 1: correct(17)}, {0: correct(10), 1: correct(10), 7: correct(0)}
    clean, pgd = compare(a, b)
    assert (clean.metric, pgd.metric, clean.seeds) == ("clean", "pgd", 2)
    assert clean.difference == pytest.approx(30)
    assert clean.std == pytest.approx(50**0.5)
    assert clean.p == pytest.approx(ttest_rel([75, 85], [50, 50]).pvalue)
    assert (clean.low, clean.high) == pytest.approx(
        tuple(ttest_rel([75, 85], [50, 50]).confidence_interval())
    )
    (swapped, _) = compare(b, a)
    assert swapped.difference == pytest.approx(-30) and swapped.p == pytest.approx(clean.p)


def test_many_images_do_not_make_up_for_seeds_that_disagree():
    n, shares = 10_000, [(0.5, 0.46), (0.5, 0.5), (0.5, 0.51)]
    runs = [
        {s: {"clean": np.arange(n) < n * pair[side]} for s, pair in enumerate(shares)}
        for side in (0, 1)
    ]
    (line,) = compare(*runs)
    assert line.difference == pytest.approx(1) and line.p > 0.5 and line.low < 0 < line.high
    one_seed = [{0: of_row[0]} for of_row in runs]
    assert compare(*one_seed)[0].p < 1e-9


def test_one_seed_is_tested_over_the_images():
    (line, _) = compare({0: correct(12)}, {0: correct(10)})
    assert (line.std, line.low, line.high) == (None, None, None)
    assert line.p == mcnemar(correct(12)["clean"], correct(10)["clean"])


def test_the_same_difference_for_all_seeds_tells_nothing_of_its_spread():
    a, b = correct(15), correct(10)
    (line, _) = compare({s: a for s in range(3)}, {s: b for s in range(3)})
    assert line.p is None and line.seeds == 3 and line.std == 0


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
    first = text.splitlines()[0]
    assert "on the same images" in first and "One seed: no p." in first
    assert "seeds:" not in first
    assert text.endswith(
        "| row | compared with | seeds | clean |\n| --- | --- | ---: | ---: |\n"
        "| Scheduled | Free | 1 | +60.0 |\n"
    )
    two = [correct(15), correct(17)], [correct(10), correct(10)]
    lines = compare(*(dict(enumerate(runs)) for runs in two))
    text = paired_to_markdown([Comparison("a", "b", lines)])
    assert "+30.0 ±7.1 [-33.5, +93.5], p 0.105" in text
    assert "t-test over the seeds" in text and "One seed" not in text


def test_titles_are_escaped():
    lines = compare({0: {"clean": np.ones(9, bool)}}, {0: {"clean": np.ones(9, bool)}})
    line = paired_to_markdown([Comparison("a | <b>", "c", lines)]).splitlines()[-1]
    assert line.startswith("| a \\| &lt;b&gt; | c | 1 |")
