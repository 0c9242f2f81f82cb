"""Draw docs/images/schedules.png: the value of four schedules against progress.

The command::

    uv run python scripts/schedule_picture.py
"""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

import gratis

PATH = Path(__file__).parents[1] / "docs" / "images" / "schedules.png"
POINTS = [i / 400 for i in range(401)]
SHAPES = {
    "linear(0, 8, end=0.6)": gratis.linear(0, 8, end=0.6),
    "cosine(8, 0)": gratis.cosine(8, 0),
    "steps({0: 1, 0.5: 2, 0.75: 4})": gratis.steps({0: 1, 0.5: 2, 0.75: 4}),
    "warm_up(0.1, then=cosine(8, 0))": gratis.warm_up(0.1, then=gratis.cosine(8, 0)),
}


def figure() -> Figure:
    """Return the four curves, one beside the other."""
    drawn = Figure(figsize=(10, 2.6), layout="constrained")
    for axes, (title, shape) in zip(drawn.subplots(1, 4, sharey=True), SHAPES.items(), strict=True):
        axes.plot(POINTS, [shape(t) for t in POINTS], color="tab:green", linewidth=2)
        axes.set(title=title, xlabel="progress", xlim=(0, 1), ylim=(0, 8.5))
        axes.title.set_fontsize(9)
        axes.grid(alpha=0.3)
    return drawn


if __name__ == "__main__":
    with mpl.rc_context({"savefig.dpi": 110}):
        figure().savefig(PATH, metadata={"Software": None})
