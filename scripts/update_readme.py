"""Put the measured tables into README.md: uv run python scripts/update_readme.py."""

import json
import re
from pathlib import Path

from gratis.report import to_markdown
from gratis.results import Results
from gratis.settings import validate

ROOT = Path(__file__).parents[1]


def table(folder: Path) -> str:
    """Return the table of the results in ``folder``."""
    rows = json.loads((folder / "results.json").read_text(encoding="utf-8"))["rows"]
    return to_markdown([validate(Results, row, str(folder)) for row in rows])


def updated(readme: str, results: Path) -> str:
    """Return the README with the table of every folder of ``results`` at its marker."""
    for folder in sorted(path.parent for path in results.glob("*/results.json")):
        marker = re.escape(f"<!-- {folder.name} -->")
        between = re.compile(f"({marker}\n).*?(<!-- end -->)", re.DOTALL)
        # The table's own backslashes must not be taken for groups.
        content = f"\n{table(folder).strip()}\n\n".replace("\\", r"\\")
        readme = between.sub(rf"\1{content}\2", readme)
    return readme


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(updated(path.read_text(encoding="utf-8"), ROOT / "docs" / "results"), "utf-8")
