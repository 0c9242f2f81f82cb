"""A report on hardened runs: its first sentence, the frontier, the expected accuracy."""

import pytest

from gratis.report import read_runs, to_csv, to_markdown, what_changed, write_page
from gratis.results import Before, Frontier, FrontierPoint

EPSILON = 4 / 255
BEFORE = Before(clean=0.933, pgd=0.05, expected=0.41)
CHANGED = (
    "Hardened at epsilon 4/255 in 2.5 minutes of training: clean accuracy 93.3% before, 91.5% "
    "after; under PGD-20 5.0% before, 48.5% after."
)


@pytest.fixture
def hardened(write_run):
    """Write a hardened run with its frontier."""

    def write(under, seed=0, **changes):
        fields = {
            "clean": 0.915,
            "pgd": 0.485,
            "expected": 0.7,
            "before": BEFORE,
            "epsilon": EPSILON,
            "seconds": 150.0,
        }
        folder = write_run(under, "hardened", seed, **(fields | changes))
        points = tuple(
            FrontierPoint(alpha=alpha, curve=((0.0, clean), (EPSILON, pgd)))
            for alpha, clean, pgd in ((0.0, 0.93, 0.05), (0.8, 0.92, 0.45), (1.0, 0.9, 0.48))
        )
        Frontier(epsilon=EPSILON, pgd_steps=5, images=100, points=points, chosen=0.8).write(
            folder / "frontier.json"
        )
        return folder

    return write


def report(tmp_path, *folders):
    found = read_runs(folders)
    write_page(found, [], tmp_path / "report")
    return [(tmp_path / "report" / f"report.{kind}").read_text() for kind in ("md", "html")]


def test_the_first_sentence_says_what_hardening_changed(hardened, tmp_path):
    markdown, page = report(tmp_path, hardened(tmp_path))
    assert f"**{CHANGED} " in markdown
    assert f'<p class="verdict">{CHANGED} ' in page or f"{CHANGED} " in page


def test_the_strongest_attack_that_both_models_have_is_quoted(result):
    both = result(before=Before(clean=0.9, pgd=0.1, robust=0.02), robust=0.3, suite="autoattack")
    assert "every attack of the suite “autoattack” 2.0% before, 30.0% after" in what_changed(both)
    only_pgd = result(before=Before(clean=0.9, pgd=0.1), robust=0.3)
    assert "under PGD-20 10.0% before, 10.0% after" in what_changed(only_pgd)
    assert what_changed(result(before=Before(clean=0.9))).endswith("90.0% before, 80.0% after.")
    assert what_changed(result()) is None


def test_the_frontier_is_drawn_and_the_chosen_model_marked(hardened, write_run, tmp_path):
    markdown, page = report(tmp_path, hardened(tmp_path))
    assert "## Between the natural and the hardened model" in markdown
    assert (tmp_path / "report" / "images" / "frontier.png").read_bytes()[1:4] == b"PNG"
    assert 'href="#frontier"' in page and ">0.8<" in page
    other = tmp_path / "other"
    without = report(other, write_run(other, "free"))
    assert all("Between the natural and" not in text for text in without)


def test_several_hardened_runs_are_each_described(hardened, tmp_path):
    folders = [hardened(tmp_path, seed) for seed in (0, 1)]
    markdown, _ = report(tmp_path, *folders)
    for seed in (0, 1):
        assert f"“Hardened”, seed {seed}: {CHANGED}" in markdown


def test_the_expected_accuracy_is_a_column_where_it_is_known(result, results):
    measured = [result("a", expected=0.7), result("b")]
    table = to_markdown(measured)
    assert "| expected |" in table.splitlines()[2]
    assert "70.0 ±" in table and "expected: the mean accuracy under PGD over all" in table
    header, first, second = to_csv(measured).splitlines()
    place = header.split(",").index("expected")
    assert (first.split(",")[place], second.split(",")[place]) == ("70.0", "")
    assert "expected" not in to_markdown(results)
