"""A run under other suites than the table's: what is written, printed, and scored again."""

import json

import pytest

from gratis.cli.output import print_checks, print_results, print_tasks
from gratis.errors import GratisError
from gratis.recipe import resolve
from gratis.results import Measurement, Results
from gratis.run import build_sets, evaluate_run, rescore_run, train

TINY = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3"),
    *("train.epochs=1", "evaluate.images=30", "evaluate.pgd_steps=2"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suites") / "run"
    train(resolve("resnet18", "digits", TINY), folder)
    return folder


def test_a_suite_is_written_printed_and_remembered(run, capsys):
    table = evaluate_run(run)
    assert table.suite == "table" and table.robust <= table.pgd and table.curve == []
    changes = ["evaluate.suite=standard", "evaluate.epsilons=[2/255, 0.1]"]
    record = (run / "results.json").read_bytes(), (run / "recipe.yaml").read_bytes()
    found = evaluate_run(run, None, changes)
    (beside,) = (run / "evaluations").glob("standard-*")
    assert found == Results.read(beside / "results.json") != table
    assert ((run / "results.json").read_bytes(), (run / "recipe.yaml").read_bytes()) == record
    assert found.title == f"{table.title} [suite standard, epsilons [{2 / 255}, 0.1]]"
    assert found.robust <= min(found.fgsm, found.pgd) and found.robust_l2 is not None
    assert (found.clean, found.geometric, found.fgsm) == (table.clean, table.geometric, table.fgsm)
    assert [epsilon for epsilon, _ in found.curve] == [0, 2 / 255, 0.1]
    assert found.curve[0][1] == found.clean >= found.curve[1][1] >= found.curve[2][1]
    correct = Measurement.load(beside / "correct.safetensors").correct
    assert correct["robust"].mean() == pytest.approx(found.robust)
    seconds = json.loads((beside / "evaluation" / "seconds.json").read_text())
    assert seconds.keys() == {task.name for task in found.tasks}
    print_tasks(found)
    printed = capsys.readouterr().out
    assert f"{100 * found.robust:.1f}" in printed and "pgd_l2_margin" in printed
    # Of a model that is hardly trained there are two, and the other one fails by itself.
    passed = [check.model_copy(update={"passed": True}) for check in found.checks[1:]]
    print_checks(found.model_copy(update={"checks": (_failed(found.checks[0]), *passed)}))
    printed = capsys.readouterr().out
    names = [check.name for check in found.checks]
    assert all(name in printed for name in [*names, "repeatable", "sanity checks", "failed"])
    # In a sentence, which starts with a capital letter.
    assert found.checks[0].rule[1:] in printed and found.checks[0].advice[1:] in printed
    assert found.checks[1].advice[1:] not in printed
    print_tasks(table)
    print_checks(table)
    assert table.checks == () and capsys.readouterr().out == ""


def _failed(check):
    return check.model_copy(update={"passed": False})


def test_the_papers_suite_leaves_the_white_box_columns_empty(run, capsys):
    build_sets(run, run.parent / "sets")
    found = evaluate_run(run, run.parent / "sets", ["evaluate.suite=paper"])
    assert found.fgsm is None and found.pgd is None and found.transfer is None
    assert found.fgsm_transfer is not None
    print_results([found])
    assert "n/a" in capsys.readouterr().out
    with pytest.raises(GratisError, match="suite"):
        evaluate_run(run, None, ["evaluate.suite=papers"])


@pytest.mark.parametrize("kept", ["uint8", "float32"])
def test_saved_examples_are_scored_again(run, kept):
    found = evaluate_run(run, None, ["evaluate.suite=standard", f"evaluate.examples={kept}"])
    ((beside, results),) = [
        (path.parent, Results.read(path))
        for path in run.glob("evaluations/*/results.json")
        if f"examples {kept}" in path.read_text()
    ]
    assert results == found
    said = rescore_run(run, beside / "examples.safetensors")
    assert f"{round(30 * found.robust)} of 30 correct" in said
    assert "within 38/255" in said
