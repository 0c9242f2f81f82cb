"""What a study measured, and where it is kept."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from gratis.errors import GratisError
from gratis.files import write_text
from gratis.json_files import read_json
from gratis.report import Paired, over_seeds
from gratis.settings import Line, Settings, validate
from gratis.study.settings import Study

FILE = "study.json"


class VariantResults(Settings, extra="ignore"):
    """What was measured of one variant.

    ``passes`` and ``flops`` are those of one run, ``seconds`` is a mean over the runs. ``values``
    has the value of each seed for every metric: accuracies in percent.
    """

    recipe: Line
    passes: float
    flops: float | None = None
    seconds: float
    values: dict[str, tuple[float, ...]]


class StudyResults(Settings, extra="ignore"):
    """What a study measured, with seeds from 0 to ``seeds - 1``.

    ``header`` names data, attacks and device, ``command`` is what measured it.
    """

    study: Line
    profile: Line
    command: Line
    header: Line
    seeds: Annotated[int, Field(ge=1)]
    variants: dict[str, VariantResults]
    commit: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)

    def values(self, variant: str, metric: str) -> tuple[float, ...] | None:
        """Return a metric of a variant for every seed; ``None`` if it was not measured."""
        of_variant = self.variants.get(variant)
        return None if of_variant is None else of_variant.values.get(metric)

    def compare(self, of: str, than: str, metric: str) -> Paired | None:
        """Return the difference between two variants; ``None`` if one lacks the metric."""
        a, b = self.values(of, metric), self.values(than, metric)
        if a is None or b is None:
            return None
        differences = [x - y for x, y in zip(a, b, strict=True)]
        if len(differences) == 1:
            return Paired(metric, differences[0], 1)
        return over_seeds(metric, differences)

    def metrics(self, study: Study) -> list[str]:
        """Return the metrics that were measured, in the order of the study."""
        measured = {name for variant in self.variants.values() for name in variant.values}
        first = [name for name in study.metrics if name in measured]
        known = {"clean", "geometric", "fgsm_transfer", "transfer", "fgsm", "pgd"}
        return [*first, *sorted(measured - set(first) - known)]

    def write(self, folder: Path) -> None:
        """Write ``study.json``, all or nothing."""
        write_text(folder / FILE, self.model_dump_json(indent=2) + "\n")


def read_results(folder: Path) -> StudyResults | None:
    """Return the results of a study in its folder, or ``None`` if there are none."""
    path = folder / FILE
    if not path.exists():
        return None
    results = validate(StudyResults, read_json(path), f"{path} (delete it and run the study again)")
    lengths = {len(v) for of in results.variants.values() for v in of.values.values()}
    if lengths - {results.seeds}:
        raise GratisError(f"{path}: the number of values is not that of the seeds; delete it")
    return results
