"""Training curves, with the schedules of epsilon and m under them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gratis.report.charts import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    RED,
    RULE,
    SKY,
    Chart,
    as_png,
    as_svg,
    new_figure,
    style,
)
from gratis.report.runs import Line, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_INCHES = 3.5
_HELD_OUT = {"clean": (SKY, "o"), "fgsm": (ORANGE, "s"), "pgd": (RED, "D")}


def training_chart(runs: Sequence[Run], name: str, title: str) -> Chart | None:
    """Return how the runs of one recipe trained, a line each, or ``None`` without a log.

    Above the accuracy, on the training batches as they were perturbed and, unperturbed and
    attacked, on held-out training images; then the loss; below epsilon and m, where they apply.
    """
    logs = [run.log for run in runs if run.log]
    if not logs:
        return None
    scheduled = any(line.epsilon is not None for log in logs for line in log)
    text = f"Accuracy, loss{', epsilon and m' if scheduled else ''} through training: {title}"
    with style():
        figure = _draw(logs, scheduled)
        return Chart(name, text, as_svg(figure, name, text), as_png(figure))


def _draw(logs: Sequence[Sequence[Line]], scheduled: bool) -> "Figure":
    heights = [1.5, 0.75, 0.75] if scheduled else [1.5, 0.75]
    figure = new_figure(_WIDTH_INCHES, sum(heights) + 0.75)
    panels = figure.subplots(len(heights), sharex=True, height_ratios=heights)
    for axes in panels:
        axes.grid(color=RULE, linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=7.5, length=2)
    _draw_accuracy(panels[0], logs)
    for log in logs:
        _line(panels[1], log, lambda line: line.loss, color=INK, linewidth=1)
    panels[1].set_ylim(bottom=0)
    panels[1].set_ylabel("loss", fontsize=8)
    if scheduled:
        _draw_schedules(panels[2], logs)
    for epoch in [line.epoch for log in logs for line in log if line.kind == "rollback"]:
        for axes in panels:
            axes.axvline(epoch, color=MUTED, linewidth=0.8, linestyle=":")
    panels[-1].set_xlabel("epochs (passes / training images)", fontsize=8)
    panels[-1].set_xlim(left=0)
    figure.align_ylabels(panels)
    return figure


def _draw_accuracy(axes: "Axes", logs: Sequence[Sequence[Line]]) -> None:
    for rank, log in enumerate(logs):
        # A label that starts with an underscore stays out of the legend.
        hidden = "_" if rank else ""
        label = f"{hidden}training, as perturbed"
        _line(axes, log, _percent("accuracy"), color=MUTED, linewidth=1, label=label)
        for metric, (colour, marker) in _HELD_OUT.items():
            look = {"color": colour, "marker": marker, "markersize": 3, "linewidth": 1.2}
            _line(axes, log, _held_out(metric), label=f"{hidden}held-out {metric}", **look)
    axes.set_ylim(-3, 103)
    axes.set_yticks(range(0, 101, 25))
    axes.set_ylabel("accuracy, %", fontsize=8)
    if axes.lines:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=2,
            frameon=False,
            fontsize=7.5,
            borderaxespad=0.2,
            handlelength=1.6,
            columnspacing=1.2,
        )


def _draw_schedules(axes: "Axes", logs: Sequence[Sequence[Line]]) -> None:
    from matplotlib.ticker import MaxNLocator

    replays = axes.twinx()
    replays.spines[["top", "left"]].set_visible(False)
    for log in logs:
        _line(axes, log, _in_255ths, color=BLUE, linewidth=1.2)
        dashed = {"linestyle": "--", "drawstyle": "steps-post"}
        _line(replays, log, lambda line: line.replays, color=RED, linewidth=1, **dashed)
    # Unequal room above, so that two constants do not lie on each other.
    axes.set_ylim(0, 1.15 * axes.dataLim.y1 or 1)
    axes.set_ylabel("epsilon, /255", fontsize=8, color=BLUE)
    if replays.lines:
        replays.set_ylim(0, 1.5 * replays.dataLim.y1)
        replays.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        replays.set_ylabel("m (dashed)", fontsize=8, color=RED)
        replays.tick_params(labelsize=7.5, length=2)
    else:
        replays.set_visible(False)


def _line(
    axes: "Axes", log: Sequence[Line], value: Callable[[Line], float | None], **look: Any
) -> None:
    points = [(line.epoch, y) for line in log if (y := value(line)) is not None]
    if points:
        axes.plot(*zip(*points, strict=True), **look)


def _percent(field: str) -> Callable[[Line], float | None]:
    def value(line: Line) -> float | None:
        share = getattr(line, field)
        return None if share is None else 100 * share

    return value


def _held_out(metric: str) -> Callable[[Line], float | None]:
    def value(line: Line) -> float | None:
        share = (line.held_out or {}).get(metric)
        return None if share is None else 100 * share

    return value


def _in_255ths(line: Line) -> float | None:
    return None if line.epsilon is None else 255 * line.epsilon
