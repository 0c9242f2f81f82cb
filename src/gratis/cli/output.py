"""The files that commands write, and the tables that they print."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gratis.errors import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gratis.recipe import Recipe
    from gratis.report import Table
    from gratis.results import Results
    from gratis.run import Timing


_quiet = False


def set_quiet(quiet: bool) -> None:
    """Reduce the output from now on to the result of a command, or do not."""
    global _quiet
    _quiet = quiet


def print_lines(text: str) -> None:
    """Print lines on standard output; what is in them cannot control the terminal."""
    typer.echo("\n".join(map(printable, text.split("\n"))))


def print_folder(folder: Path, files: str = "", as_json: bool = False) -> None:
    """Print where the result is: with --quiet the path alone, which a script can read."""
    where = printable(str(folder))
    if as_json:
        listed = [folder / name for name in files.split(", ")] if files else [folder]
        print_json({"folder": str(folder), "files": [str(path) for path in listed]})
        return
    if _quiet:
        typer.echo(where)
    else:
        typer.echo(f"in {where}: {files}" if files else f"in {where}")


def print_run(results: "Results", folder: Path, as_json: bool) -> None:
    """Print the results of a run and its folder."""
    if as_json:
        print_json(results.model_dump(mode="json"))
        return
    print_runs([results], folder)
    if results.before is not None and not _quiet:
        _print_hardened(results, folder)


def _print_hardened(results: "Results", folder: Path) -> None:
    """Print which model of a hardened run was chosen, and what hardening changed."""
    from gratis.report import what_changed
    from gratis.results import Frontier, frontier

    found = Frontier.read(folder / frontier.FILE)
    why = "the highest mean over all epsilons"
    if found.keep_clean is not None:
        why = f"the most robust that loses at most {found.keep_clean:g} points of clean accuracy"
    typer.echo(f"chosen: {found.chosen:.0%} of the hardened weights, {why} on held-out images")
    print_lines(f"the model before: {printable(str(folder / 'natural'))}")
    print_lines(what_changed(results) or "")


def print_runs(results: "list[Results]", folder: Path, files: str = "") -> None:
    """Print the results of several runs, and the folder with the ``files`` about them."""
    if not _quiet:
        print_results(results)
    print_folder(folder, files)


def print_json(content: "Mapping[str, object] | list[object]") -> None:
    """Print JSON."""
    typer.echo(json.dumps(content, indent=2))


def write_report(results: "list[Results]", rows: "list[Recipe]", folder: Path, seeds: int) -> None:
    """Write the tables, the figure and the paired comparison of ``rows`` into ``folder``."""
    from gratis.report import figure1, write_tables

    write_tables(results, folder)
    figure1(results, folder / "figure1.png")
    _compare(rows, folder, seeds)


def _compare(rows: "list[Recipe]", folder: Path, seeds: int) -> None:
    """Write how each row differs from the row that it is compared with, image by image.

    Where no recipe names such a row, all are compared with the baseline, or else the first.
    """
    from gratis.files import write_text
    from gratis.report import Comparison, compare, paired_to_markdown
    from gratis.run import correct_by_seed

    by_name = {row.name: row for row in rows}
    correct = {row.name: correct_by_seed(row, folder, seeds) for row in rows}
    pairs = [(row, by_name[row.compare_with]) for row in rows if row.compare_with in by_name]
    if not pairs:
        base = next((row for row in rows if row.baseline), rows[0])
        pairs = [(row, base) for row in rows if row is not base]
    comparisons = [
        Comparison(row.title, base.title, compare(correct[row.name], correct[base.name]))
        for row, base in pairs
    ]
    # Always written, so that no older comparison of other rows stays beside this table.
    write_text(folder / "paired.md", paired_to_markdown(comparisons))


def print_results(results: "list[Results]") -> None:
    """Print the results table."""
    from gratis.report import narrow_table

    print_table(narrow_table(results))


def print_table(table: "Table") -> None:
    """Print a table with as many columns as fit the terminal."""
    from rich.console import Console

    from gratis import report

    report.print_table(table, Console())


def print_timing(title: str, timing: "Timing") -> None:
    """Print the duration of each part of a training step."""
    from gratis.report.table import Cell, Table, TableRow

    whole = sum(timing.milliseconds.values())
    rows = [
        TableRow([Cell(name), Cell(f"{milliseconds:.2f}"), Cell(f"{milliseconds / whole:.1%}")])
        for name, milliseconds in (*timing.milliseconds.items(), ("step", whole))
    ]
    columns = [Cell("part"), Cell("ms per step"), Cell("share")]
    print_table(Table(columns, rows, title=f"{title}, {timing.device}"))
    low, high = timing.share_range
    print_lines(
        f"{timing.images_per_second:.0f} images/s, {timing.passes_per_second:.0f} passes/s: "
        f"{timing.share:.3f} of the bare loop ({low:.3f} to {high:.3f}); "
        f"peak memory {timing.memory / 2**20:.0f} MiB"
    )


def print_tasks(results: "Results") -> None:
    """Print every task of a suite beyond ``table``, and the worst cases over them."""
    from gratis.report import suite_tables

    for table in suite_tables(results, {}) or ():
        if table is not None:
            print_table(table)


def print_checks(results: "Results") -> None:
    """Print the sanity checks, if the suite has them, and what to do about failed ones."""
    from gratis.report import checks_table, remedies

    if results.checks:
        print_table(checks_table(results.checks))
    for name, remedy in remedies(results.checks):
        print_lines(f"{name}: {remedy}")
