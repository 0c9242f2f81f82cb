"""Write docs/bad-input.md from a run: uv run python scripts/update_bad_input.py."""

import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from gratis.report.markup import plain

ROOT = Path(__file__).parents[1]
_HEAD = """# Bad input

What is offered to the command line, and what the user sees: one clear line, and exit code 2.
Nothing in a file is executed, and the disk is as it was before. Every line of these tables is a
test; `scripts/update_bad_input.py` writes them from a run.
"""


def page(outcome: Callable[[Any], Any]) -> str:
    """Return the page; ``outcome`` offers one case of tests/bad_input and says what came of it."""
    sections: dict[str, list[str]] = {}
    for case in import_module("cases").CASES:
        seen = "<br>".join(map(plain, outcome(case).message.splitlines()))
        sections.setdefault(case.section, []).append(f"| {plain(case.offered)} | {seen} |")
    return _HEAD + "".join(_table(*each) for each in sections.items())


def _table(title: str, lines: list[str]) -> str:
    head = ["", f"## {title}", "", "| what is offered | what the user sees |", "| --- | --- |"]
    return "\n".join([*head, *lines]) + "\n"


def _main() -> None:
    sys.path.insert(0, str(ROOT / "tests" / "bad_input"))
    finish, offer = import_module("offer").finish, import_module("offer").offer
    with tempfile.TemporaryDirectory() as name:
        folder, finished = Path(name), Path(name) / "finished"
        finished.mkdir()
        finish(finished)
        places = (folder / f"{number}" / "place" for number in count())
        content = page(lambda case: offer(case, next(places), finished))
        (ROOT / "docs" / "bad-input.md").write_text(content, encoding="utf-8")


if __name__ == "__main__":
    _main()
