"""The common part of all charts: their style, and their output as SVG for a page and as PNG."""

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
_ON_A_PAGE = {
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
    """A chart for both kinds of page: SVG for HTML, PNG for Markdown.

    ``name`` is the stem of the file, ``text`` the alternative text, and ``narrow`` the SVG for a
    narrow screen, if it differs.
    """

    name: str
    text: str
    svg: Markup
    png: bytes
    narrow: Markup | None = None

    @classmethod
    def of(cls, name: str, text: str, figure: "Figure", narrow: "Figure | None" = None) -> "Chart":
        """Return the chart that figures show, drawn inside :func:`style`."""
        small = None if narrow is None else _as_svg(narrow, f"{name}-narrow", text)
        return cls(name, text, _as_svg(figure, name, text), as_png(figure), small)


@contextmanager
def style() -> Iterator[None]:
    """Draw figures in the style of the page inside this context; a $ in a name is no formula."""
    import matplotlib

    settings: dict[Any, Any] = {
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
        **dict.fromkeys(("axes.edgecolor", "xtick.labelcolor", "ytick.labelcolor"), MUTED),
        "axes.facecolor": "none",
        "text.parse_math": False,
        "svg.fonttype": "none",
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # matplotlib's font lacks some scripts, but the reader's own fonts have them.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of this size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def as_png(figure: "Figure", dpi: int = _DPI) -> bytes:
    """Return the figure as PNG on white, with ``dpi`` pixels per inch."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi, facecolor=PAPER, metadata={"Software": None})
    return content.getvalue()


def _as_svg(figure: "Figure", name: str, text: str) -> Markup:
    """Return the figure as an SVG element with the page's fonts and colours."""
    import matplotlib

    content = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(content, format="svg", facecolor="none", metadata=nothing)
    drawn = content.getvalue()
    (box,) = re.findall(r'<svg [^>]*viewBox="([^"]*)"', drawn)
    opening = Markup('<svg class="chart" role="img" aria-label="{}" viewBox="{}">')
    inner = drawn[drawn.index(">", drawn.index("<svg")) + 1 :]
    return opening.format(text, box) + Markup(_restyled(inner))


def _restyled(drawn: str) -> str:
    """Return SVG content with the page's fonts and colours, and without names that are unused."""
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn)
    drawn = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", drawn)
    for ink, name in _ON_A_PAGE.items():
        drawn = drawn.replace(ink, name)
    return drawn
