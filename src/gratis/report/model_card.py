"""The model card of a shared model, made from its results alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

from gratis.report.hardened import what_changed
from gratis.report.results_table import METRIC_MEANINGS
from gratis.report.rows import Row, group, shown_metrics
from gratis.report.summary import attack_name, strongest
from gratis.report.table import (
    Cell,
    Table,
    TableRow,
    count,
    fence,
    in_common,
    markdown_table,
    plain,
)
from gratis.results import Results
from gratis.yaml_files import dump_yaml

_TASK = "image-classification"


@dataclass(frozen=True)
class CardFacts:
    """What a card says beside the results.

    ``licence`` is an identifier such as ``apache-2.0``, ``recipe`` is YAML, and ``weights`` is the
    SHA-256 of the file of weights.
    """

    name: str
    licence: str
    recipe: str
    classes: Sequence[str]
    weights: str
    version: str


def model_card(results: Results, facts: CardFacts) -> str:
    """Return a model card as Markdown, with metadata for the hub at its start."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gratis.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # Markdown; the filters escape
    )
    environment.filters |= {"plain": plain, "fence": fence}
    (row,) = group([results])
    return environment.get_template("model_card.md.jinja").render(
        metadata=dump_yaml(_metadata(results, facts, row)),
        facts=facts,
        results=results,
        summary=_summary(row),
        table=markdown_table(_table(row)),
        epsilon=in_common([results], "epsilon"),
        passes=count(results.passes),
        failed=[check.name for check in results.failed_checks],
        classes=", ".join(facts.classes),
    )


def claims(card: str) -> Mapping[str, float]:
    """Return the accuracies in the table of a card, in percent, by metric; NaN for other text."""
    found: dict[str, float] = {}
    for line in card.splitlines():
        cells = [cell.strip().replace("\\", "") for cell in line.strip("| ").split("|")]
        if len(cells) == 4 and cells[0] in METRIC_MEANINGS:
            found[cells[0]] = _number(cells[1])
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _table(row: Row) -> Table:
    lines = []
    for metric, estimate in ((m, row.estimate(m)) for m in shown_metrics([row])):
        if estimate is not None:
            interval = f"{estimate.low:.1f} to {estimate.high:.1f}"
            meaning = Cell(METRIC_MEANINGS[metric])
            lines.append(
                TableRow([Cell(metric), Cell(f"{estimate.value:.1f}"), Cell(interval), meaning])
            )
    columns = ["metric", "accuracy in %", "95% interval", "images"]
    return Table([Cell(column) for column in columns], lines)


def _summary(row: Row) -> str:
    """Return the accuracy without and under attack, and before that what hardening changed."""
    results, metric = row.first, strongest([row])
    clean, robust = row.estimate("clean"), row.estimate(metric)
    assert clean is not None and robust is not None
    changed = what_changed(results)
    return ("" if changed is None else f"{changed} ") + (
        f"Of {results.n:,} validation images of {results.data} it classifies {clean.value:.1f}% "
        f"correctly without an attack, and {robust.value:.1f}% under "
        f"{attack_name(metric, results)}, the strongest attack measured."
    )


def _metadata(results: Results, facts: CardFacts, row: Row) -> dict[str, Any]:
    measured = {
        metric: estimate.value
        for metric in shown_metrics([row])
        if (estimate := row.estimate(metric))
    }
    return {
        "license": facts.licence,
        "library_name": "gratis",
        "pipeline_tag": _TASK,
        "tags": [_TASK, "adversarial-robustness", "adversarial-training"],
        "model-index": [
            {
                "name": facts.name.rpartition("/")[2],
                "results": [
                    {
                        "task": {"type": _TASK},
                        "dataset": {"name": results.data, "type": results.data},
                        "metrics": [
                            {"type": "accuracy", "name": name, "value": round(value, 2)}
                            for name, value in measured.items()
                        ],
                    }
                ],
            }
        ],
    }
