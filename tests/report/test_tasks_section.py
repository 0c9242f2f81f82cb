"""The tasks one by one, as the full suite holds them."""

import pytest

from gratis.report.runs import Run
from gratis.report.tasks import attack_in_words, suite_view
from gratis.results import wilson
from gratis.results.measurement import Measurement


@pytest.fixture
def view(result, tasks, tmp_path):
    """What a page shows of a run of the full suite, with so many seconds for each task."""

    def make(seconds=(), **changes):
        every = tasks(suite="full")
        results = result(suite="full", tasks=every, **changes)
        took = dict(zip((task.name for task in every), seconds, strict=False))
        return suite_view(Run(tmp_path, results, Measurement([], {}), (), took), "title")

    return make


def lines(view):
    return {line.name: line for group in view.groups for line in group if not line.worst}


def test_every_task_is_on_the_page_once(view, tasks):
    shown = view()
    corruptions = [(line.kind, len(line.accuracies)) for line in shown.corruptions]
    assert len(corruptions) == 8 and {length for _, length in corruptions} == {5}
    names = [line.name for group in shown.groups for line in group]
    names += [f"{kind} {severity}" for kind, length in corruptions for severity in range(1, 6)]
    assert sorted(names) == sorted(task.name for task in tasks(suite="full"))


@pytest.mark.parametrize(
    ("name", "how", "norm", "epsilon", "whom"),
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
            *("geometric_worst", "worst of 10: turned up to 30°, moved up to 10%"),
            *("", "", "clean-correct"),
        ),
    ],
)
def test_a_task_says_how_it_was_held_and_whom_it_faced(view, name, how, norm, epsilon, whom):
    line = lines(view())[name]
    assert (line.how, line.norm, line.epsilon, line.whom) == (how, norm, epsilon, whom)
    assert line.images == 200


def test_accuracies_are_of_all_images_with_their_interval(view):
    cell = lines(view())["fgsm"].cell
    assert (cell.value, cell.low, cell.high) == pytest.approx(
        [5, *(100 * end for end in wilson(0.05, 200))]
    )


def test_the_worst_case_closes_its_group(view):
    shown = view(robust=0.03, robust_l2=0.04)
    ends = [group[-1] for group in shown.groups if group[-1].worst]
    assert [(end.name, end.cell.value, end.norm) for end in ends] == [
        ("robust", 3, "L-infinity"),
        ("robust_l2", 4, "L2"),
    ]
    assert shown.groups[1][-2].name == "square"


def test_corruptions_are_averaged_by_kind_and_overall(view):
    shown = view(corruptions=0.5)
    for line in shown.corruptions:
        assert line.mean == pytest.approx(line.accuracies[2])
        assert line.accuracies == sorted(line.accuracies)
    assert shown.mean_corruption == 50


def test_time_is_that_of_each_task_and_unknown_where_it_was_not_kept(view):
    assert view().seconds is None and lines(view())["fgsm"].seconds is None
    shown = view(seconds=[0.5] * 200)
    assert lines(shown)["square"].seconds == 0.5 and shown.corruptions[0].seconds == 2.5
    assert shown.seconds == 0.5 * (sum(map(len, shown.groups)) + 5 * len(shown.corruptions))
    assert view(seconds=[0.5]).seconds is None


def test_the_tables_own_tasks_make_no_section(result, tasks, tmp_path):
    for results in (result(), result(tasks=tasks(suite="table"))):
        assert suite_view(Run(tmp_path, results, Measurement([], {}), ()), "title") is None


def test_fgsm_is_one_step_from_the_image_itself():
    settings = {"steps": 1, "restarts": 1, "loss": "cross_entropy"}
    assert attack_in_words(settings | {"random_start": False}) == "FGSM"
    assert attack_in_words(settings | {"random_start": True}) == "PGD-1"
