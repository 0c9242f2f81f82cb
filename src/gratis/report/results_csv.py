"""The results table as CSV: plain numbers for other programs."""

import csv
import io
from collections.abc import Sequence

from gratis.report.rows import OVERFITTED, PAPERS, Estimate, Row, group, shown_metrics
from gratis.report.table import in_common
from gratis.results import Results

_CSV_FIELDS = (
    *("baseline", "reference", "data", "n", "classes", "epsilon", "pgd_steps"),
    *("backbone", "parameters", "image_size", "input_size", "device"),
)


def to_csv(results: Sequence[Results]) -> str:
    """Return the table as CSV, one line per recipe, with plain numbers.

    Accuracies are in percent. ``*_low`` and ``*_high`` are the 95% interval: Wilson's over the
    images of a single run, Student's t of the mean over several seeds. ``*_std`` is the standard
    deviation over the seeds. A value that does not apply is empty.
    """
    rows = group(results)
    lines = [_csv_line(row, shown_metrics(rows)) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _csv_line(row: Row, metrics: Sequence[str]) -> dict[str, object]:
    run = row.first
    line: dict[str, object] = {"recipe": run.recipe, "title": run.title, "seeds": len(row.runs)}
    line |= {field: getattr(run, field) for field in _CSV_FIELDS}
    costs: dict[str, object] = {
        "train_images": in_common(row.runs, "train_images").replace(",", ""),
        **{field: round(row.mean(field), 3) for field in ("passes", "epochs", "seconds")},
        "flops": row.mean_or_none("flops"),
    }
    line |= dict.fromkeys(costs) if run.external else costs
    for metric in metrics:
        line |= _csv_numbers(metric, row.estimate(metric))
    line |= {f"paper_{metric}": row.paper(metric) for metric in PAPERS}
    line["overfitted"] = row.mark_of("fgsm") == OVERFITTED
    return line


def _csv_numbers(metric: str, estimate: Estimate | None) -> dict[str, object]:
    names = (metric, f"{metric}_low", f"{metric}_high", f"{metric}_std")
    if estimate is None:
        return dict.fromkeys(names)
    values = (estimate.value, estimate.low, estimate.high, estimate.std)
    rounded = (None if value is None else round(value, 3) for value in values)
    return dict(zip(names, rounded, strict=True))
