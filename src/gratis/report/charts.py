"""Charts for a page: SVG that takes its ink from the page around it, and PNG on white."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# From the palette of Okabe and Ito, which colour-blind readers can tell apart.
SKY, BLUE, ORANGE, RED = "#56B4E9", "#0072B2", "#E69F00", "#D55E00"
GREEN, PINK = "#009E73", "#CC79A7"
# On a page these become the page's own colours, light or dark.
INK, MUTED, RULE, BAND, PAPER = "#1c1c1a", "#5e5e59", "#d8d7d1", "#f5f4f0", "#ffffff"
_OF_THE_PAGE = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    BAND: "var(--band)",
    PAPER: "var(--paper)",
    BLUE.lower(): "var(--blue)",
}
_DPI = 200


@dataclass(frozen=True)
class Chart:
    """A drawing for both kinds of page.

    ``name`` is a file's stem, ``text`` says what is to be seen, ``svg`` is for a page, ``png``
    the content of a file. ``narrow`` is the SVG for a narrow screen, where it is another.
    """

    name: str
    text: str
    svg: Markup
    png: bytes
    narrow: Markup | None = None


@contextmanager
def style() -> Iterator[None]:
    """Draw figures in the page's ink while the block runs; names with a $ are no formulas."""
    import matplotlib

    settings: dict[Any, Any] = {
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
        **dict.fromkeys(("axes.edgecolor", "xtick.labelcolor", "ytick.labelcolor"), MUTED),
        "axes.facecolor": "none",
        "text.parse_math": False,
        "svg.fonttype": "none",
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # A script that matplotlib's font lacks: the reader's own fonts have it.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of so many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def as_png(figure: "Figure", dpi: int = _DPI) -> bytes:
    """Return the figure as PNG on white, with ``dpi`` pixels an inch."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi, facecolor=PAPER, metadata={"Software": None})
    return content.getvalue()


def as_svg(figure: "Figure", name: str, text: str) -> Markup:
    """Return the figure as SVG to stand in a page, with the page's fonts and ink.

    Args:
        figure: what :func:`new_figure` returned, drawn inside :func:`style`.
        name: another than every other chart's in the page.
        text: what is to be seen, for those who cannot see it.
    """
    import matplotlib

    content = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(content, format="svg", facecolor="none", metadata=nothing)
    drawn = content.getvalue()
    return _opened(drawn, text) + Markup(_inner(drawn[drawn.index(">", drawn.index("<svg")) + 1 :]))


def _opened(drawn: str, text: str) -> Markup:
    (box,) = re.findall(r'<svg [^>]*viewBox="([^"]*)"', drawn)
    opening = Markup('<svg class="chart" role="img" aria-label="{}" viewBox="{}">')
    return opening.format(text, box)


def _inner(drawn: str) -> str:
    """Return what an SVG holds, with the page's fonts and ink, and no names but those used."""
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn)
    drawn = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", drawn)
    for ink, name in _OF_THE_PAGE.items():
        drawn = drawn.replace(ink, name)
    return drawn
