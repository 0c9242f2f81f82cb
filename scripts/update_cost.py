"""Write the committed figures of the benchmarks into docs/cost.md, as tables and charts.

The commands::

    uv run python -m benchmarks --only curves memory --data-root DIR \
        --json docs/results/cost/curves.json
    uv run python -m benchmarks --only training script free-pass augmentation reading \
        --data-root DIR --json docs/results/cost/beside.json
    uv run python scripts/update_cost.py
"""

import json
import re
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gratis.report.charts import BLUE, GREEN, MUTED, ORANGE, as_png, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "cost.md"
FOLDER = ROOT / "docs" / "results" / "cost"
MIB = 2**20
DPI = 110
# The curves of time in the table, and those that are drawn.
TIMES = {
    "replays": "replays",
    "epsilon": "schedule",
    "views": "views",
    "batch": "images in a batch",
}
DRAWN = ["replays", "batch"]
MEMORIES = {
    "images": "images in the data set",
    "batch": "images in a batch",
    "replays": "replays",
}
KINDS = {"peak": BLUE, "anonymous": ORANGE, "file": GREEN}

Report = dict[str, Any]
# A median with the least and the greatest.
Spread = tuple[float, float, float]


def comparison(report: Report, topic: str, name: str) -> Report:
    """Return the record of a comparison."""
    (found,) = (
        one for one in report["comparisons"] if (one["topic"], one["name"]) == (topic, name)
    )
    return dict(found)


def spread(values: Iterable[float]) -> Spread:
    """Return the median, the least and the greatest."""
    values = list(values)
    return statistics.median(values), min(values), max(values)


def number(name: str) -> int:
    """Return the number in a point's name."""
    return int(re.sub(r"\D", "", name))


def times(report: Report, name: str) -> dict[str, Spread]:
    """Return the time of every point as a multiple of the first, round by round."""
    figures = comparison(report, "curves", name)["figures"]
    points = sorted(figures, key=number) if name in DRAWN else sorted(figures)
    first = figures[points[0]]
    return {
        point: spread(a / b for a, b in zip(figures[point], first, strict=True)) for point in points
    }


def epochs(report: Report) -> dict[int, Spread]:
    """Return the time of an epoch as a multiple of the shortest, by number of images."""
    figures = comparison(report, "curves", "images")["figures"]
    points = sorted({name.partition(":")[0] for name in figures}, key=number)
    first = figures[f"{points[0]}: seconds"]
    return {
        round(figures[f"{point}: images"][0]): spread(
            a / b for a, b in zip(figures[f"{point}: seconds"], first, strict=True)
        )
        for point in points
    }


def memories(report: Report, name: str) -> dict[str, dict[str, Spread]]:
    """Return the MiB of every point by kind; points of the images are named by their number."""
    figures = comparison(report, "memory", name)["figures"]
    found = {}
    for point in sorted({name.partition(":")[0] for name in figures}, key=number):
        images = round(figures[f"{point}: images"][0])
        found[f"{images:,} images" if name == "images" else point] = {
            kind: spread(value / MIB for value in figures[f"{point}: {kind}"]) for kind in KINDS
        }
    return found


def table(columns: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def shown(values: Spread, digits: int) -> str:
    """Return a median and, in brackets, the least and the greatest."""
    middle, low, high = (f"{value:,.{digits}f}" for value in values)
    return f"{middle} ({low} to {high})"


def machine(report: Report) -> str:
    """Return the machine and the conditions of a report."""
    about = report["about"]
    return (
        f"{about['device']}; torch {about['versions']['torch']}; commit {about['commit']};"
        f" rounds: {about['rounds']}; seconds of a point in a round: {about['seconds']:g}."
    )


def time_table(report: Report) -> str:
    """Return the table of the time of a pass."""
    rows = (
        [title, point, shown(values, 3)]
        for name, title in TIMES.items()
        for point, values in times(report, name).items()
    )
    return table(["against", "point", "time of a pass, times the first"], rows)


def epoch_table(report: Report) -> str:
    """Return the tables of the time of an epoch and of the straight line through them."""
    rows = ([f"{images:,}", shown(values, 2)] for images, values in epochs(report).items())
    lines = ([name, shown(values, 4)] for name, values in lines_of(report, "curves").items())
    sizes = table(["images", "time of an epoch, times the first"], rows)
    return f"{sizes}\n\n{table(['over all sizes', 'value'], lines)}"


def lines_of(report: Report, topic: str) -> dict[str, Spread]:
    """Return the lines of a topic's comparison over the number of images."""
    return {
        line["name"]: (line["median"], line["least"], line["greatest"])
        for line in comparison(report, topic, "images")["lines"]
    }


def memory_table(report: Report) -> str:
    """Return the table of memory."""
    rows = (
        [title, point, *(shown(found[kind], 0) for kind in KINDS)]
        for name, title in MEMORIES.items()
        for point, found in memories(report, name).items()
    )
    *_, (growth, values) = lines_of(report, "memory").items()
    return f"{table(['against', 'point', *KINDS], rows)}\n\n{growth}: {shown(values, 3)}."


def beside_table(report: Report) -> str:
    """Return the table of all lines with their targets."""
    rows = (
        [
            f"{found['topic']}/{found['name']}",
            line["name"],
            shown((line["median"], line["least"], line["greatest"]), 3),
            line["target"] or "",
            {None: "", True: "yes", False: "no"}[line["met"]],
        ]
        for found in report["comparisons"]
        for line in found["lines"]
    )
    return f"{machine(report)}\n\n{table(['comparison', 'line', 'value', 'target', 'met'], rows)}"


# The tables by marker, and the file that each comes from.
CURVES, BESIDE = "curves.json", "beside.json"
SOURCES = {"machine": CURVES, "time": CURVES, "epochs": CURVES, "memory": CURVES, "beside": BESIDE}
TABLES: dict[str, Callable[[Report], str]] = {
    "machine": machine,
    "time": time_table,
    "epochs": epoch_table,
    "memory": memory_table,
    "beside": beside_table,
}


def updated(page: str, reports: dict[str, Report]) -> str:
    """Return the page with every table at its marker, from the reports by file name."""
    for name, to_text in TABLES.items():
        between = re.compile(f"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = between.sub(rf"\1\n{to_text(reports[SOURCES[name]])}\n\n\2", page)
    return page


def draw(axes: "Axes", points: dict[int, Spread], colour: str, label: str | None = None) -> None:
    """Draw medians with the range of the rounds."""
    middle = [values[0] for values in points.values()]
    ranges = [
        [values[0] - values[1] for values in points.values()],
        [values[2] - values[0] for values in points.values()],
    ]
    axes.errorbar(
        list(points), middle, ranges, color=colour, marker="o", markersize=4, capsize=3, label=label
    )
    axes.spines[["top", "right"]].set_visible(False)


def time_chart(report: Report) -> bytes:
    """Return the chart of time as PNG."""
    with style():
        figure = new_figure(9, 2.8)
        left, middle, right = figure.subplots(1, 3)
        for axes, name in ((left, "replays"), (middle, "batch")):
            points = times(report, name)
            draw(axes, {number(point): values for point, values in points.items()}, BLUE)
            axes.set_xscale("log", base=2)
            axes.set_xticks([number(point) for point in points], [str(number(p)) for p in points])
            axes.set_xlabel(TIMES[name])
        left.set_ylabel("time of a pass, times the first")
        found = epochs(report)
        draw(right, found, BLUE)
        (first, least), *_, (last, _) = found.items()
        right.plot([0, last], [0, least[0] * last / first], color=MUTED, linestyle=":")
        right.set_xlabel("images in the data set")
        right.set_ylabel("time of an epoch, times the first")
        for axes in figure.axes:
            axes.set_ylim(bottom=0)
        return as_png(figure, DPI)


def memory_chart(report: Report) -> bytes:
    """Return the chart of memory as PNG."""
    from matplotlib.ticker import MaxNLocator

    with style():
        figure = new_figure(9, 2.8)
        places = figure.subplots(1, len(MEMORIES), sharey=True)
        for axes, (name, title) in zip(places, MEMORIES.items(), strict=True):
            points = memories(report, name)
            for kind, colour in KINDS.items():
                draw(axes, {number(at): found[kind] for at, found in points.items()}, colour, kind)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.set_xlabel(title)
        # Only after all charts are drawn, since they share the axis.
        places[0].set_ylim(bottom=0)
        places[0].set_ylabel("MiB")
        places[0].legend(frameon=False, loc=(0.45, 0.2))
        return as_png(figure, DPI)


if __name__ == "__main__":
    measured = {
        name: json.loads((FOLDER / name).read_text(encoding="utf-8")) for name in (CURVES, BESIDE)
    }
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8"), measured), "utf-8")
    (FOLDER / "time.png").write_bytes(time_chart(measured[CURVES]))
    (FOLDER / "memory.png").write_bytes(memory_chart(measured[CURVES]))
