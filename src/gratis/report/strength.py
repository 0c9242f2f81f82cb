"""Accuracy against epsilon: how fast a model's robustness fades as the attack may do more."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gratis.report.charts import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PINK,
    RED,
    RULE,
    SKY,
    Chart,
    as_png,
    as_svg,
    new_figure,
    style,
)
from gratis.report.rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = (RED, BLUE, GREEN, ORANGE, PINK, SKY, INK)
_MARKERS = "osD^vPX"
# In letters: two columns of these fit a page, and one a phone.
_TITLE = 40

# Epsilon, in [0, 1] units, and the accuracy, in [0, 1].
Curve = Sequence[tuple[float, float]]


def strength_chart(rows: Sequence[Row]) -> Chart | None:
    """Return the accuracy of each row's first run against epsilon, ``None`` if none has a curve."""
    curves: dict[str, Curve] = {row.first.title: c for row in rows if (c := row.first.curve)}
    if not curves:
        return None
    text = "Accuracy under PGD against epsilon, a line each model"
    with style():
        figure, narrow = _draw(curves, 7.2), _draw(curves, 3.5)
        return Chart(
            "epsilon",
            text,
            as_svg(figure, "epsilon", text),
            as_png(figure),
            as_svg(narrow, "epsilon-narrow", text),
        )


def _draw(curves: dict[str, Curve], width: float) -> "Figure":
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(width, 3.4 + 0.17 * len(curves))
    axes = figure.add_subplot()
    for number, (title, curve) in enumerate(curves.items()):
        axes.plot(
            [255 * epsilon for epsilon, _ in curve],
            [100 * accuracy for _, accuracy in curve],
            color=_COLOURS[number % len(_COLOURS)],
            marker=_MARKERS[number // len(_COLOURS) % len(_MARKERS)],
            markersize=3.5,
            linewidth=1.2,
            label=textwrap.shorten(title.lstrip("_"), _TITLE, placeholder=" …"),
        )
    axes.grid(color=RULE, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, color=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(left=0)
    axes.set_ylim(-3, 103)
    axes.set_xlabel("epsilon, /255", fontsize=8.5)
    axes.set_ylabel("accuracy, %", fontsize=8.5)
    columns = 2 if width > 5 else 1
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, fontsize=8.5)
    return figure
