"""Names that come from data, made safe for Markdown."""

import html
import re


def plain(text: object) -> str:
    """Return ``text`` so that Markdown shows it letter by letter, on one line, in a table too."""
    line = html.escape(" ".join(str(text).split()), quote=False)
    # A plus or minus in front would start a list.
    return re.sub(r"^[+-]|[\\`*_\[\]|~#!]", r"\\\g<0>", line)


def fence(text: str) -> str:
    """Return ``text`` as a block of code that no line of it can end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}\n{text.rstrip()}\n{marks}"
