"""The figure of a study: lines where the variants have a place on an axis, or else bars."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gratis.files import atomic_file
from gratis.report import charts
from gratis.results import mean_and_std
from gratis.study.outcome import StudyResults
from gratis.study.settings import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = (charts.BLUE, charts.RED, charts.GREEN, charts.ORANGE, charts.PINK, charts.SKY)
_MARKERS = "osD^vP"


def draw(study: Study, results: StudyResults, path: Path) -> None:
    """Write the figure as PNG: the mean of each metric, with the standard deviation over seeds."""
    measured = results.metrics(study)
    metrics = [name for name in study.figure or measured if name in measured]
    on_an_axis = [name for name in results.variants if study.variants[name].x is not None]
    with charts.style():
        height = 3.4 if on_an_axis else 1.2 + 0.16 * len(metrics) * len(results.variants)
        figure = charts.new_figure(7.2, height)
        axes = figure.add_subplot()
        if on_an_axis:
            _lines(axes, study, results, on_an_axis, metrics)
        else:
            _bars(axes, study, results, metrics)
        axes.grid(color=charts.RULE, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(ncols=4, fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
        content = charts.as_png(figure)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def _lines(
    axes: "Axes", study: Study, results: StudyResults, names: Sequence[str], metrics: Sequence[str]
) -> None:
    placed = sorted((float(study.variants[name].x or 0), name) for name in names)
    for number, metric in enumerate(metrics):
        points = [(x, *mean_and_std(v)) for x, n in placed if (v := results.values(n, metric))]
        if not points:
            continue
        places, means, stds = zip(*points, strict=True)
        axes.errorbar(
            places,
            means,
            yerr=stds if results.seeds > 1 else None,
            color=_COLOURS[number % len(_COLOURS)],
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=4,
            linewidth=1.2,
            capsize=2,
            label=metric,
        )
    if study.log_axis:
        axes.set_xscale("log")
    axes.set_xticks([x for x, _ in placed], [f"{x:g}" for x, _ in placed])
    axes.minorticks_off()
    axes.set_xlabel(study.axis)
    axes.set_ylabel("%")


def _bars(axes: "Axes", study: Study, results: StudyResults, metrics: Sequence[str]) -> None:
    names, thickness = list(results.variants), 0.8 / max(1, len(metrics))
    for number, metric in enumerate(metrics):
        values = [results.values(name, metric) for name in names]
        found = [mean_and_std(v) if v else (0.0, 0.0) for v in values]
        axes.barh(
            [place + number * thickness for place in range(len(names))],
            [mean for mean, _ in found],
            thickness,
            xerr=[std for _, std in found] if results.seeds > 1 else None,
            color=_COLOURS[number % len(_COLOURS)],
            error_kw={"elinewidth": 0.8, "capsize": 2},
            label=metric,
        )
    middle = thickness * (len(metrics) - 1) / 2
    axes.set_yticks([place + middle for place in range(len(names))], map(study.title_of, names))
    axes.invert_yaxis()
    axes.set_xlabel("%")
