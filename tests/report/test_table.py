import csv
import io
import json

import pytest
from rich.console import Console

from gratis.errors import GratisError
from gratis.report import (
    group,
    narrow_table,
    print_table,
    to_csv,
    to_markdown,
    write_tables,
)
from gratis.report.table import as_text, count
from gratis.results import METRICS, Results
from gratis.settings import validate

GOLDEN = """\
tiny-imagenet, 1,000 training images, 200 validation images, 200 classes; epsilon 8/255 \
(L-infinity), PGD with 20 steps; cpu. Accuracies in percent.

| model | backbone | size | seeds | clean | geometric | paper geometric | fgsm_transfer | \
paper fgsm_transfer | transfer | fgsm | pgd | passes | epochs | seconds |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | \
---: |
| Baseline | resnet18 | 64 → 224 | 1 | 80.0 ±6.1 | 50.0 ±6.9 | 32 | 30.0† ±6.7 | n/a | \
40.0† ±6.9 | 20.0 ±6.1 | 10.0 ±4.9 | 55k | 5.5 | 87 |
| Free | resnet18 | 64 | 3 | 80.0 ±0.0 | 50.0 ±0.0 | 48 | 30.0 ±0.0 | 28 | 40.0 ±0.0 | \
61.0⚠ ±1.0 | 2.0 ±0.0 | 55k | 5.5 | 87 |
| Pgd-Full ‡ | resnet18 | 64 → 224 | 1 | 100.0 ±1.9 | 50.0 ±6.9 | n/a | n/a | n/a | n/a | \
20.0 ±6.1 | 10.0 ±4.9 | 55k | 5.5 | 87 |

- ± of one seed: 95% Wilson interval over the images (its wider side). It says \
nothing about other seeds.
- ± of several seeds: standard deviation over the seeds; table.csv has the 95% t-interval of \
their mean.
- † attacked through this very model: white box here, a transfer attack on the others.
- ‡ reference, outside the comparison at equal compute.
- ⚠ FGSM accuracy that PGD breaks: catastrophic overfitting, or no defence at all.
"""


def printed(results, width=110):
    console = Console(width=width, file=io.StringIO())
    print_table(narrow_table(results), console)
    return console.file.getvalue()


@pytest.fixture
def on_the_papers_data(results):
    own = {"data": "tiny-imagenet", "classes": 200}
    return [run.model_copy(update=own) for run in results]


def test_markdown_is_the_golden_table(on_the_papers_data):
    assert to_markdown(on_the_papers_data) == GOLDEN


@pytest.mark.parametrize("other", [{"data": "digits"}, {"classes": 10}])
def test_the_papers_values_are_shown_only_for_its_data(on_the_papers_data, other):
    others = [run.model_copy(update=other) for run in on_the_papers_data]
    for text in (to_markdown(others), printed(others)):
        assert "paper" not in text
    (line, *_) = csv.DictReader(io.StringIO(to_csv(others)))
    assert line["paper_geometric"] == ""


def test_marks_are_explained_only_where_they_occur(result):
    text = to_markdown([result()])
    assert not any(mark in text for mark in "†‡⚠")
    assert "several seeds" not in text


def test_seeds_of_a_recipe_are_one_row_in_order_of_appearance(result):
    rows = group([result("b"), result("a"), result("b", seed=1)])
    assert [(row.first.recipe, len(row.runs)) for row in rows] == [("b", 2), ("a", 1)]


def test_a_metric_that_one_seed_lacks_is_not_averaged(result):
    (row,) = group([result(), result(seed=1, transfer=None)])
    assert row.estimate("transfer") is None


def test_titles_cannot_break_the_table(result):
    assert "a \\| b" in to_markdown([result(title="a | b")])
    assert "[bold]x" in printed([result(title="[bold]x[/nonsense]")])


def test_the_interval_of_several_seeds_stays_a_share(result):
    (row,) = group([result(clean=1.0), result(seed=1, clean=0.5)])
    estimate = row.estimate("clean")
    assert (estimate.low, estimate.high) == (0, 100)
    assert estimate.margin == estimate.std == pytest.approx(25 * 2**0.5)


def test_rows_trained_on_different_data_are_visible(result):
    results = [result("a"), result("b", train_images=500), result("b", seed=1)]
    text = to_markdown(results)
    assert text.startswith("digits, different numbers of training images, 200 validation images")
    assert "| A \\[1,000 training images\\] |" in text
    assert "| B \\[500, 1,000 training images\\] |" in text
    assert "rows trained on different data are not comparable" in text
    assert "[500, 1,000" in printed(results)
    assert [row["train_images"] for row in csv.DictReader(io.StringIO(to_csv(results)))] == [
        "1000",
        "500 1000",
    ]
    assert "different" not in to_markdown(results[:1])


def test_the_header_names_the_steps_of_pgd_only_where_it_was_measured(result):
    only_fgsm = result(pgd=None, pgd_steps=7)
    assert "epsilon 8/255 (L-infinity); cpu" in to_markdown([only_fgsm])
    assert "epsilon 8/255 (L-infinity), PGD with 20 steps; cpu" in to_markdown(
        [only_fgsm, result()]
    )


def test_header_names_every_device(result):
    assert "cpu, cuda" in to_markdown([result(), result("b", device="cuda")])


@pytest.mark.parametrize("width", [110, 120])
def test_terminal_table_fits_and_keeps_every_number(results, result, width):
    results.append(result("narrow", backbone="resnet18 32-64-128-256, pretrained"))
    text = printed(results, width)
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    for expected in (
        "Baseline",
        "30.0†",
        "61.0⚠",
        "±6.1",
        "64 → 224",
        "55k",
        "Pgd-Full ‡",
        "n/a",
        "seeds",
    ):
        assert expected in text


def test_markup_is_shown_as_text(result):
    title = "[link=https://evil.example]a[/] :skull: \\"
    text = printed([result(title=title), result("other", title=title, pgd=0.5)], 200)
    assert text.count("[link=https://evil.example]a[/]") == 2 and ":skull:" in text


NARROW = {
    # The columns that are left out, in this order, and never broken.
    110: [],
    98: ["seconds"],
    86: ["seconds", "passes"],
    80: ["seconds", "passes", "transfer"],
    70: ["seconds", "passes", "transfer", "fgsm_transfer"],
}


@pytest.mark.parametrize("width", NARROW)
def test_a_narrow_terminal_has_fewer_columns(results, width):
    text = printed([run.model_copy(update={"robust": 0.02}) for run in results], width)
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    head = text.split("Baseline")[0]
    expected = {"clean", "geometric", "pgd", "robust", "passes", "seconds"}
    assert expected & set(head.split()) == expected - set(NARROW[width])
    note = " ".join(text.split())
    assert (f"Left out at this width: {', '.join(NARROW[width])};" in note) == bool(NARROW[width])
    for line in text.splitlines():
        if "Baseline" in line:
            assert {"80.0", "10.0", "2.0"} <= set(line.split())


def test_columns_without_a_value_are_left_out_first(result):
    runs = [result(robust=0.1, transfer=None, fgsm_transfer=None)]
    text = " ".join(printed(runs, 98).split())
    assert "Left out at this width: transfer; results.json" in text


def test_csv_holds_plain_numbers(on_the_papers_data):
    baseline, free, reference = csv.DictReader(io.StringIO(to_csv(on_the_papers_data)))
    assert float(baseline["clean"]) == 80 and baseline["clean_std"] == ""
    assert float(baseline["clean_low"]) == pytest.approx(73.9, abs=0.1)
    assert float(baseline["clean_high"]) == pytest.approx(85.0, abs=0.1)
    assert (float(free["fgsm"]), float(free["fgsm_std"])) == (61, 1)
    half = 4.30265 / 3**0.5  # Student's t with two degrees of freedom
    assert float(free["fgsm_low"]) == pytest.approx(61 - half, abs=1e-3)
    assert float(free["fgsm_high"]) == pytest.approx(61 + half, abs=1e-3)
    assert baseline["train_images"] == "1000"
    assert free["overfitted"] == "True" and baseline["overfitted"] == "False"
    assert free["seeds"] == "3" and float(free["paper_fgsm_transfer"]) == 28
    assert reference["transfer"] == "" and reference["paper_geometric"] == ""
    assert all(f"{metric}_low" in free for metric in METRICS)


def test_files_are_written_and_results_round_trip(on_the_papers_data, tmp_path):
    results = on_the_papers_data
    write_tables(results, tmp_path / "out")
    assert (tmp_path / "out/table.md").read_text(encoding="utf-8") == GOLDEN
    assert (tmp_path / "out/table.csv").read_text(encoding="utf-8") == to_csv(results)
    rows = json.loads((tmp_path / "out/results.json").read_text(encoding="utf-8"))["rows"]
    assert [validate(Results, row, "row") for row in rows] == results


def test_an_unwritable_folder_is_one_clear_line(results, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GratisError, match="cannot be written"):
        write_tables(results, tmp_path / "file")


def test_without_results_the_table_is_empty(tmp_path):
    write_tables([], tmp_path)
    assert json.loads((tmp_path / "results.json").read_text()) == {"rows": []}


def test_arithmetic_is_beside_the_passes_where_it_was_counted(result):
    old, new = result("old"), result("new", flops=4.2e12)
    assert "FLOPs" not in to_markdown([old])
    text = to_markdown([old, new])
    assert "| passes | FLOPs | epochs |" in text
    assert "| 55k | n/a | 5.5 |" in text and "| 55k | 4.2T | 5.5 |" in text
    counted = [row["flops"] for row in csv.DictReader(io.StringIO(to_csv([old, new])))]
    assert counted == ["", "4200000000000.0"]
    assert "FLOPs" not in printed([new])


@pytest.mark.parametrize(
    "number, text",
    [
        (0, "0"),
        (950, "950"),
        (2500, "2.5k"),
        (9_960, "10k"),
        (55_000, "55k"),
        (999_600, "1.0M"),
        (1.23e6, "1.2M"),
        (7.24e13, "72.4T"),
        (5e15, "5.0P"),
    ],
)
def test_counts_are_short(number, text):
    assert count(number) == text


@pytest.mark.parametrize("value, text", [(8 / 255, "8/255"), (0.01, "2.55/255"), (0.0, "0/255")])
def test_epsilon_is_a_fraction_of_255(value, text):
    assert as_text("epsilon", value) == text


def test_names_are_escaped(result):
    rows = [result(title="<script>a</script> & b | c", data="<b>")]
    assert to_markdown(rows).startswith("&lt;b&gt;, ")
    line = next(line for line in to_markdown(rows).splitlines() if "script" in line)
    assert "&lt;script&gt;a&lt;/script&gt; &amp; b \\| c" in line
    assert line.replace("\\|", "").count("|") == to_markdown(rows).splitlines()[2].count("|")
