"""What commands leave behind and print."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from gratis.recipe import Recipe
    from gratis.results import Results
    from gratis.run import Timing


def write_report(results: "list[Results]", rows: "list[Recipe]", folder: Path, seeds: int) -> None:
    """Write the tables, the figure and the paired comparison of ``rows`` into ``folder``."""
    from gratis.report import figure1, write_tables

    write_tables(results, folder)
    figure1(results, folder / "figure1.png")
    _compare(rows, folder, seeds)


def _compare(rows: "list[Recipe]", folder: Path, seeds: int) -> None:
    """Write how each row differs from the row that it builds on, image by image."""
    from gratis.files import write_text
    from gratis.report import Comparison, compare, paired_to_markdown
    from gratis.run import correct_by_seed

    by_name = {row.name: row for row in rows}
    correct = {row.name: correct_by_seed(row, folder, seeds) for row in rows}
    comparisons = [
        Comparison(row.title, by_name[base].title, compare(correct[row.name], correct[base]))
        for row in rows
        if (base := row.builds_on) in by_name and base is not None
    ]
    # Always written: an earlier comparison of other rows must not stay beside this table.
    write_text(folder / "paired.md", paired_to_markdown(comparisons))


def print_results(results: "list[Results]") -> None:
    """Print the table."""
    from rich.console import Console

    from gratis.report import to_terminal

    # A pipe has no width of its own, and the default would break the table.
    console = Console()
    console.width = max(console.width, 120)
    console.print(to_terminal(results))


def print_timing(title: str, timing: "Timing") -> None:
    """Print where the time of a step goes."""
    from rich.console import Console
    from rich.table import Table

    whole = sum(timing.milliseconds.values())
    table = Table("part", "ms a step", "share", title=f"{title}, {timing.device}")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, milliseconds in timing.milliseconds.items():
        table.add_row(name, f"{milliseconds:.2f}", f"{milliseconds / whole:.1%}")
    table.add_row("step", f"{whole:.2f}", "100.0%")
    Console().print(table)
    low, high = timing.share_range
    typer.echo(
        f"{timing.images_per_second:.0f} images/s, {timing.passes_per_second:.0f} passes/s: "
        f"{timing.share:.3f} of the bare loop ({low:.3f} to {high:.3f}); "
        f"peak memory {timing.memory / 2**20:.0f} MiB"
    )


def print_tasks(results: "Results") -> None:
    """Print every task of a suite that goes beyond the table, and the worst cases over them."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from gratis.results import wilson

    if results.suite in ("paper", "transfer", "table"):
        return
    table = Table(title=f"suite {results.suite}", box=box.HORIZONTALS)
    for column in ("task", "against", "images", "stand (%)", "95% interval"):
        table.add_column(column, justify="left" if column in ("task", "against") else "right")

    def add(name: str, against: str, faced: str, accuracy: float) -> None:
        low, high = wilson(accuracy, results.n)
        interval = f"{100 * low:.1f} to {100 * high:.1f}"
        table.add_row(name, against, faced, f"{100 * accuracy:.1f}", interval)

    for task in results.tasks:
        add(task.name, task.threat, str(task.images), task.accuracy)
    for worst in ("robust", "robust_l2"):
        if (accuracy := getattr(results, worst)) is not None:
            add(f"[bold]{worst}[/bold]", "worst case", str(results.n), accuracy)
    Console().print(table)


def print_checks(results: "Results") -> None:
    """Print the sanity checks, where the suite has them, and what to do about those failed."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if not results.checks:
        return
    most = max(check.images for check in results.checks)
    table = Table(title=f"sanity checks, on {most} of the images", box=box.HORIZONTALS)
    for column in ("check", "found", "verdict"):
        table.add_column(column)
    for check in results.checks:
        found = ", ".join(f"{name} {value:.3g}" for name, value in check.figures.items())
        verdict = "passed" if check.passed else "[bold red]FAILED[/bold red]"
        table.add_row(check.name, found, verdict)
    Console().print(table)
    for check in results.checks:
        if not check.passed:
            typer.echo(f"{check.name}: {check.rule}. What to do: {check.advice}.")
