"""The page of a study: conclusions, figure, and the tables of values and differences."""

from collections.abc import Sequence
from pathlib import Path

from gratis.files import make_folder, write_text
from gratis.report import Cell, Table, TableRow, count, explain, markdown_table, paired_cell, plain
from gratis.results import mean_and_std
from gratis.study.conclusion import conclude
from gratis.study.figure import draw
from gratis.study.measurements import measurement
from gratis.study.outcome import StudyResults
from gratis.study.settings import Study

PAGE, FIGURE = "study.md", "figure.png"


def write_study(study: Study, results: StudyResults, folder: Path) -> None:
    """Write ``study.json``, ``study.md`` and ``figure.png`` into a folder."""
    make_folder(folder)
    results.write(folder)
    write_text(folder / PAGE, study_page(study, results))
    draw(study, results, folder / FIGURE)


def study_page(study: Study, results: StudyResults) -> str:
    """Return the page as Markdown."""
    several = results.seeds > 1
    parts = [
        f"# {plain(study.title)}",
        f"    {results.command}",
        results.header,
        *(_claim(study, results, number) for number in range(len(study.claims))),
        f"![{study.title}]({FIGURE})",
        _values(study, results),
        _margins(several),
        f"Differences. {explain([several], 'Each variant minus that of the second column')}"
        if several
        else "One seed: its differences show nothing about the recipes, and are not tested.",
        *([_differences(study, results)] if several else []),
        *_meanings(study),
    ]
    return "\n\n".join(parts) + "\n"


def _claim(study: Study, results: StudyResults, number: int) -> str:
    claim = study.claims[number]
    word, sentence = conclude(claim, study, results)
    measured = f" {plain(sentence)}." if sentence else ""
    return f"The paper: {plain(claim.paper)} **{word.capitalize()}.**{measured}"


def _values(study: Study, results: StudyResults) -> str:
    metrics = results.metrics(study)
    counted = any(of.flops is not None for of in results.variants.values())
    costs = ["passes", *(["FLOPs"] if counted else []), "seconds"]
    rows = []
    for name, of in results.variants.items():
        cells = [Cell(study.title_of(name)), Cell(str(results.seeds))]
        cells += [_value(of.values.get(metric)) for metric in metrics]
        flops = [Cell("n/a" if of.flops is None else count(of.flops))] if counted else []
        rows.append(TableRow([*cells, Cell(count(of.passes)), *flops, Cell(f"{of.seconds:.0f}")]))
    return markdown_table(
        Table([Cell(name) for name in ("variant", "seeds", *metrics, *costs)], rows)
    )


def _differences(study: Study, results: StudyResults) -> str:
    metrics = results.metrics(study)
    rows = []
    for name in results.variants:
        if (control := study.control_of(name)) is None:
            continue
        lines = [results.compare(name, control, metric) for metric in metrics]
        titles = [Cell(study.title_of(name)), Cell(study.title_of(control))]
        rows.append(
            TableRow(
                [*titles, *(Cell("n/a") if line is None else paired_cell(line) for line in lines)]
            )
        )
    return markdown_table(Table([Cell(name) for name in ("variant", "minus", *metrics)], rows, 2))


def _value(values: Sequence[float] | None) -> Cell:
    if values is None:
        return Cell("n/a")
    mean, std = mean_and_std(values)
    return Cell(f"{mean:.1f}", f"±{std:.1f}" if len(values) > 1 else "")


def _margins(several: bool) -> str:
    spread = " ± is the standard deviation over the seeds." if several else ""
    return f"Accuracies in percent.{spread}"


def _meanings(study: Study) -> list[str]:
    names = [item for name in study.measure for item in measurement(name).NAMES.items()]
    return ["\n".join(f"- `{name}`: {meaning}." for name, meaning in names)] if names else []
