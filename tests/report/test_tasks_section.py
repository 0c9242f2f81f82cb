"""The tables of tasks and corruptions, for the suite ``full``."""

import pytest

from gratis.report import suite_tables
from gratis.report.sections import attack_in_words
from gratis.results import wilson


@pytest.fixture
def tables(result, tasks):
    """The tables of an evaluation with the full suite, with so many seconds for each task."""

    def make(seconds=(), **changes):
        every = tasks(suite="full")
        took = dict(zip((task.name for task in every), seconds, strict=False))
        return suite_tables(result(suite="full", tasks=every, **changes), took)

    return make


def lines(shown):
    return {row.cells[0].text: row.cells for row in shown.tasks.rows if not row.strong}


def test_every_task_is_on_the_page_once(tables, tasks):
    shown = tables()
    severities = [column.text for column in shown.corruptions.columns[1:-1]]
    kinds = [row.cells[0].text for row in shown.corruptions.rows if not row.strong]
    assert len(kinds) == 8 and severities == ["1", "2", "3", "4", "5"]
    names = [*lines(shown), *(f"{kind} {severity}" for kind in kinds for severity in severities)]
    assert sorted(names) == sorted(task.name for task in tasks(suite="full"))


@pytest.mark.parametrize(
    ("name", "method", "norm", "epsilon", "attacked"),
    [
        ("geometric", "", "", "", "all"),
        ("fgsm", "FGSM", "L-infinity", "8/255", "clean-correct"),
        ("bim", "BIM-10", "L-infinity", "8/255", "clean-correct"),
        ("pgd_margin", "PGD-20 (2 starts, margin loss)", "L-infinity", "8/255", "survivors"),
        ("pgd_l2", "PGD-20 (2 starts)", "L2", "0.5", "clean-correct"),
        ("pgd 1/255", "PGD-20", "L-infinity", "1/255", "clean-correct"),
        ("pgd 2/255", "PGD-20", "L-infinity", "2/255", "survivors"),
        ("square", "AutoAttack: square", "L-infinity", "8/255", "survivors"),
        (
            *("geometric_worst", "worst of 10: rotated up to 30°, shifted up to 10%"),
            *("", "", "clean-correct"),
        ),
    ],
)
def test_a_task_names_its_attack_and_the_images_it_ran_on(
    tables, name, method, norm, epsilon, attacked
):
    task, bound, images, _ = lines(tables())[name]
    assert (task.small, bound.small, bound.text) == (method, norm, epsilon)
    assert (images.text, images.small) == ("200", attacked)


def test_accuracies_are_of_all_images_with_their_interval(tables):
    survive = lines(tables())["fgsm"][3]
    low, high = wilson(0.05, 200)
    assert (survive.text, survive.margin) == ("5.0", f"[{100 * low:.1f}, {100 * high:.1f}]")


def test_the_worst_case_ends_its_group(tables):
    rows = tables(robust=0.03, robust_l2=0.04).tasks.rows
    worst = [row for row in rows if row.strong]
    assert [(r.cells[0].text, r.cells[3].text, r.cells[1].small) for r in worst] == [
        ("robust", "3.0", "L-infinity"),
        ("robust_l2", "4.0", "L2"),
    ]
    assert all(row.ends_group for row in worst)
    assert rows[rows.index(worst[0]) - 1].cells[0].text == "square"


def test_corruptions_are_averaged_by_kind_and_overall(tables):
    *kinds, overall = tables(corruptions=0.5).corruptions.rows
    for row in kinds:
        *accuracies, mean = (float(cell.text) for cell in row.cells[1:])
        assert mean == pytest.approx(accuracies[2])
        assert accuracies == sorted(accuracies)
    assert overall.strong and overall.cells[-1].text == "50.0"


def test_seconds_are_shown_where_they_are_known(tables):
    assert "seconds" not in [column.text for column in tables().tasks.columns]
    shown = tables(seconds=[0.5] * 200)
    assert lines(shown)["square"][4].text == "0.5"
    assert shown.corruptions.columns[-1].text == "seconds"
    assert shown.corruptions.rows[0].cells[-1].text == "2.5"
    assert lines(tables(seconds=[0.5]))["square"][4].text == "n/a"


def test_the_tasks_of_the_results_table_make_no_section(result, tasks):
    for results in (result(), result(tasks=tasks(suite="table"))):
        assert suite_tables(results, {}) is None


def test_fgsm_is_one_step_from_the_image_itself():
    settings = {"steps": 1, "restarts": 1, "loss": "cross_entropy"}
    assert attack_in_words(settings | {"random_start": False}) == "FGSM"
    assert attack_in_words(settings | {"random_start": True}) == "PGD-1"
