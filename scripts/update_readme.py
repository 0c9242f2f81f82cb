"""Write the tables of docs/results and README.md from the committed results.

The command::

    uv run python scripts/update_readme.py
"""

import json
import re
import statistics
from collections.abc import Iterable
from pathlib import Path

from gratis.json_files import write_json
from gratis.recipe import parse_recipe
from gratis.report import (
    Comparison,
    Paired,
    Row,
    explain,
    group,
    over_seeds,
    paired_to_markdown,
    to_markdown,
)
from gratis.results import METRICS, Results
from gratis.run.flops import training_flops
from gratis.settings import validate

ROOT = Path(__file__).parents[1]
# What the comparisons of a table are.
_ROWS = "Each row minus the row that it is compared with"
RESULTS = ROOT / "docs" / "results"
# The results that the README summarises.
SUMMARISED = "three-seeds"
MARKERS = re.compile(r"(<!-- results -->\n).*?(<!-- end -->)", re.DOTALL)


def runs_of(folder: Path) -> list[Results]:
    """Return the results of all runs in ``folder``."""
    rows = json.loads((folder / "results.json").read_text(encoding="utf-8"))["rows"]
    return [validate(Results, row, str(folder)) for row in rows]


def count_flops() -> None:
    """Add the arithmetic of training to results from before it was counted."""
    for path in sorted(RESULTS.glob("*/results.json")):
        runs = [_counted(run) for run in runs_of(path.parent)]
        write_json(path, {"rows": [run.model_dump(mode="json") for run in runs]})


def _counted(run: Results) -> Results:
    if run.flops is not None or run.external:
        return run
    recipe = parse_recipe(run.resolved, run.title)
    flops = training_flops(recipe, run.image_size, run.classes, run.passes)
    return run.model_copy(update={"flops": flops})


def tables() -> dict[Path, str]:
    """Return the content of every ``table.md`` in docs/results by its path."""
    folders = sorted(path.parent for path in RESULTS.glob("*/results.json"))
    return {folder / "table.md": to_markdown(runs_of(folder)) for folder in folders}


def comparisons() -> dict[Path, str]:
    """Return the content of every ``paired.md`` in docs/results by its path.

    Several seeds are compared by their accuracies, which ``results.json`` has. One seed needs the
    images, which are not committed: its comparisons stay, and only the line above them is written.
    """
    written = {}
    for page in sorted(RESULTS.glob("*/paired.md")):
        compared = _compared(runs_of(page.parent))
        table = page.read_text(encoding="utf-8").split("\n", 1)[1]
        alone = f"{explain([False], _ROWS)}\n{table}"
        written[page] = paired_to_markdown(compared) if compared else alone
    return written


def _compared(runs: Iterable[Results]) -> list[Comparison]:
    """Return each row of several seeds compared with the row that it names."""
    rows = {row.first.recipe: row for row in group(list(runs))}
    pairs = [(row, rows.get(row.first.resolved.get("compare_with", ""))) for row in rows.values()]
    return [
        Comparison(row.first.title, base.first.title, _differences(row, base))
        for row, base in pairs
        if base is not None and len(row.runs) > 1
    ]


def _differences(row: Row, base: Row) -> list[Paired]:
    by_seed = {run.seed: run for run in base.runs}
    metrics = [m for m in (*METRICS, "robust") if row.estimate(m) and base.estimate(m)]
    return [
        over_seeds(
            metric,
            [100 * (getattr(r, metric) - getattr(by_seed[r.seed], metric)) for r in row.runs],
        )
        for metric in metrics
    ]


def summary(runs: Iterable[Results]) -> str:
    """Return the README's table: one row a recipe, mean and standard deviation over the seeds."""
    by_recipe: dict[str, list[Results]] = {}
    for run in runs:
        by_recipe.setdefault(run.recipe, []).append(run)
    lines = [
        "| recipe | clean | geometric | PGD-20 | training |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for recipe, seeds in by_recipe.items():
        cells = [
            _percent([run.clean for run in seeds]),
            _percent([run.geometric for run in seeds]),
            _percent([run.pgd for run in seeds if run.pgd is not None]),
            f"{statistics.fmean(run.seconds for run in seeds) / 60:.1f} min",
        ]
        lines.append(f"| `{recipe}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(shares: list[float]) -> str:
    return f"{100 * statistics.fmean(shares):.1f} ±{100 * statistics.stdev(shares):.1f}"


def updated(readme: str) -> str:
    """Return the README with the summary between its markers."""
    return MARKERS.sub(rf"\1\n{summary(runs_of(RESULTS / SUMMARISED))}\n\n\2", readme)


if __name__ == "__main__":
    count_flops()
    for path, content in {**tables(), **comparisons()}.items():
        path.write_text(content, encoding="utf-8")
    page = ROOT / "README.md"
    page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")
