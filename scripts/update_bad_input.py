"""Write docs/bad-input.md from a run of tests/bad_input.

uv run python scripts/update_bad_input.py
"""

import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from gratis.report.table import plain

ROOT = Path(__file__).parents[1]
_HEAD = """# Bad input

Every input in these tables is an error. The command line prints the message in the right column and
exits with code 2. It never executes content of a file, and leaves the disk unchanged. Every row is
a test; `scripts/update_bad_input.py` writes the tables from a run.
"""


def page(outcome: Callable[[Any], Any]) -> str:
    """Return the page; ``outcome`` runs one case of tests/bad_input."""
    sections: dict[str, list[str]] = {}
    for case in import_module("cases").CASES:
        seen = "<br>".join(map(plain, outcome(case).message.splitlines()))
        sections.setdefault(case.section, []).append(f"| {plain(case.title)} | {seen} |")
    return _HEAD + "".join(_table(*each) for each in sections.items())


def _table(title: str, lines: list[str]) -> str:
    head = ["", f"## {title}", "", "| input | message |", "| --- | --- |"]
    return "\n".join([*head, *lines]) + "\n"


def _main() -> None:
    sys.path.insert(0, str(ROOT / "tests" / "bad_input"))
    finish, run_case = import_module("harness").finish, import_module("harness").run_case
    with tempfile.TemporaryDirectory() as name:
        folder, finished = Path(name), Path(name) / "finished"
        finished.mkdir()
        finish(finished)
        places = (folder / f"{number}" / "workspace" for number in count())
        content = page(lambda case: run_case(case, next(places), finished))
        (ROOT / "docs" / "bad-input.md").write_text(content, encoding="utf-8")


if __name__ == "__main__":
    _main()
