"""Names that come from data, made safe to show."""

import html
import re

from markupsafe import Markup


def plain(text: object) -> str:
    """Return ``text`` so that Markdown shows it letter by letter, in a table too.

    It becomes one line; where it opens a line of a page, a sign in front would start a list.
    """
    line = html.escape(" ".join(str(text).split()), quote=False)
    return re.sub(r"[\\`*_\[\]|~#!]", r"\\\g<0>", line)


def visible(value: object) -> object:
    """Return text with what steers a display, such as its direction, as escapes.

    Markup of ours and what is no text stay as they are, and so do ends of lines.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in value)


def fence(text: str) -> str:
    """Return ``text`` as a block of code that no line of it can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}\n{text.rstrip()}\n{marks}"
