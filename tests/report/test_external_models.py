"""External models on the page, with no statement about their unknown training."""

import csv
import io

import pytest
from sampled import store_sample_images

from gratis.errors import GratisError
from gratis.report import choose, group, read_runs, to_csv, to_markdown, write_page
from gratis.report.summary import summarise


def judged(*folders):
    runs = read_runs(folders).runs
    return summarise(group([run.results for run in runs]), runs, None)


def page_of(found, folder):
    write_page(found, [], folder)
    return [(folder / f"report.{kind}").read_text() for kind in ("html", "md")]


def test_a_single_external_model_has_no_statement_on_its_training(external_folder, tmp_path):
    found = read_runs([external_folder(tmp_path / "evaluations")])
    for text in page_of(found, tmp_path / "report"):
        assert "only evaluated here: “Theirs”" in text and "“Theirs”: under PGD-20" in text
        for misleading in ("trained under attack", "training images", "No curves", "equal compute"):
            assert misleading not in text
        assert "Whether the training of “Theirs” included attacks is unknown." in text
    html, markdown = page_of(found, tmp_path / "report")
    assert "<td>n/a</td><td>n/a</td>" in html and markdown.count("| n/a | n/a |\n") == 1
    assert "<td>n/a</td><td>n/a<small>1</small></td>" in html and "| n/a | n/a, 1 |\n" in markdown


def test_a_folder_of_several_models_gives_all(external_folder, tmp_path):
    for name in ("b", "a"):
        external_folder(tmp_path / "evaluations", name)
    found = read_runs([tmp_path / "evaluations"])
    assert [run.results.recipe for run in found.runs] == ["a", "b"]


def test_the_output_of_reproduce_gives_its_runs(run_folder, tmp_path):
    run_folder("a")
    (tmp_path / "out" / "results.json").write_text('{"rows": []}')
    assert [run.results.recipe for run in read_runs([tmp_path / "out"]).runs] == ["a"]


def test_beside_runs_it_is_outside_the_comparison(run_folder, external_folder, tmp_path):
    theirs = external_folder(tmp_path / "evaluations", pgd=0.5, train_images=7)
    run, weaker = run_folder("r", pgd=0.2), run_folder("w", pgd=0.1)
    summary = judged(run, theirs, weaker)
    assert "“R” " in summary.headline and "of 2 models" in summary.headline
    assert summary.best == "r"
    assert summary.remarks == [
        "Outside the comparison at equal compute, “Theirs” has an accuracy of 50.0%; its "
        "training cost is unknown.",
        "No model that was trained under attack shows catastrophic overfitting.",
        "Whether the training of “Theirs” included attacks is unknown.",
    ]
    found = read_runs([run, theirs])
    for text in page_of(found, tmp_path / "report"):
        assert "digits, 1,000 training images" in text and "[7 training" not in text
        assert "No curves" not in text


def test_external_models_are_compared_but_not_at_equal_compute(external_folder, tmp_path):
    folders = [external_folder(tmp_path, "a", pgd=0.5), external_folder(tmp_path, "b", pgd=0.1)]
    assert judged(*folders).headline.startswith("“A” is the most robust of 2 models")
    for text in page_of(read_runs(folders), tmp_path / "report"):
        assert "Bold: the highest under the strongest attack" in text
        assert "equal compute" not in text


def test_a_reference_and_an_external_model_are_compared(run_folder, external_folder, tmp_path):
    summary = judged(run_folder("r", reference=True), external_folder(tmp_path, pgd=0.5))
    assert "“Theirs” is the most robust of 2 models" in summary.headline


def test_only_runs_are_said_to_be_trained_without_attacks(run_folder, external_folder, tmp_path):
    natural = run_folder("n", resolved={"adversary": {"natural": {}}})
    remarks = judged(natural, external_folder(tmp_path)).remarks
    assert "None of the models that are runs was trained under attack." in remarks


def test_the_sanity_check_finds_overfitting_of_an_external_model(external_folder, check, tmp_path):
    sound = judged(external_folder(tmp_path / "a", fgsm=0.6, pgd=0.02, checks=(check(True),)))
    assert sound.remarks == [
        "Whether the training of “Theirs” included attacks is unknown; the sanity check finds no "
        "catastrophic overfitting."
    ]
    overfitted = judged(external_folder(tmp_path / "b", checks=(check(False),)))
    assert overfitted.remarks[1].startswith("“Theirs” shows catastrophic overfitting")
    assert overfitted.remarks[2] == "Whether the training of “Theirs” included attacks is unknown."


def test_it_shows_images_alone_or_if_it_is_named(run_folder, external_folder, tmp_path):
    theirs = external_folder(tmp_path, pgd=0.5)
    store_sample_images(theirs)
    chosen = choose(read_runs([theirs]).runs, [])
    assert [run.results.recipe for run in chosen] == ["theirs"]
    runs = read_runs([theirs, run_folder("r")]).runs
    assert [run.results.recipe for run in choose(runs, [])] == ["r"]
    assert [run.results.recipe for run in choose(runs, ["theirs"])] == ["theirs"]


def test_tables_leave_its_training_cost_open(external_folder, run_folder, tmp_path):
    found = read_runs([run_folder("r"), external_folder(tmp_path)])
    results = [run.results for run in found.runs]
    assert to_markdown(results).count("| n/a | n/a | n/a |\n") == 1
    ours, theirs = csv.DictReader(io.StringIO(to_csv(results)))
    for column in ("train_images", "passes", "epochs", "seconds"):
        assert ours[column] and not theirs[column]


def test_the_remedy_for_a_wrong_measurement_fits_an_external_model(external_folder, tmp_path):
    theirs = external_folder(tmp_path)
    other = external_folder(tmp_path, "other", pgd=0.5)
    (theirs / "correct.safetensors").write_bytes((other / "correct.safetensors").read_bytes())
    with pytest.raises(GratisError, match=r"does not belong.*measure the model again"):
        read_runs([theirs])


def test_models_of_one_name_with_other_weights_are_rows_of_their_own(external_folder, tmp_path):
    weights = {"a": "1234567890", "b": "abcdefghij", "c": "1234567890"}
    results = [
        read_runs([external_folder(tmp_path / name, "net", resolved={"weights": own})])
        .runs[0]
        .results.model_copy(update={"seed": ord(name)})
        for name, own in weights.items()
    ]
    assert [len(row.runs) for row in group(results)] == [2, 1]
    titles = [row.first.title for row in group(results)]
    assert titles == ["Net (weights 12345678)", "Net (weights abcdefgh)"]
    assert [row.first.title for row in group(results[:1])] == ["Net"]
    lines = list(csv.DictReader(io.StringIO(to_csv(results))))
    assert [line["seeds"] for line in lines] == ["2", "1"]
