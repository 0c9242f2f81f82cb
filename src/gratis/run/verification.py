"""Measure again what a shared model claims."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gratis.errors import file_error
from gratis.results import METRICS, Results, wilson
from gratis.run.agreement import refuse_other_settings
from gratis.run.evaluation import evaluate_run
from gratis.run.external import evaluate_source
from gratis.run.folder import RunFolder
from gratis.run.hub import local_folder
from gratis.run.shared_folder import check, is_shared
from gratis.run.sources import ModelSource
from gratis.settings import override

_CLAIMED = (*METRICS, "robust", "robust_l2", "geometric_worst", "expected")


@dataclass(frozen=True)
class Claim:
    """A claimed accuracy and what was measured here, as shares in [0, 1].

    Attributes:
        metric: the metric.
        claimed: the claimed accuracy.
        measured: the accuracy measured here; ``None`` where it was not measured.
        low: the lower bound of the 95% Wilson interval of the measurement.
        high: its upper bound.
    """

    metric: str
    claimed: float
    measured: float | None
    low: float = 0.0
    high: float = 1.0

    @property
    def holds(self) -> bool | None:
        """Whether the claim lies in the interval; ``None`` where nothing was measured."""
        return None if self.measured is None else self.low <= self.claimed <= self.high


def verify(
    target: str | Path,
    overrides: Sequence[str] = (),
    data: Sequence[str] = (),
    data_root: Path | None = None,
    sets: Path | None = None,
) -> list[Claim]:
    """Measure a model again with the settings and the seed of its results, and compare.

    Args:
        target: ``hub:USER/NAME``, the folder of a shared model, or a run.
        overrides: ``evaluate.key=value``, such as a smaller number of images.
        data: ``data.key=value``, other data to measure on. Default: the data of its recipe.
        data_root: the folder that holds the data of its recipe.
        sets: the perturbed validation sets of a baseline, for the transfer metrics.

    Returns:
        Every claimed accuracy.

    Raises:
        GratisError: a file is not intact, the results are those of other settings than the recipe
            has, the data cannot be read or is not that of the recipe, or
            there are no results.
    """
    folder = local_folder(target)
    if is_shared(folder):
        check(folder)
    claimed = RunFolder(folder).results()
    if claimed is None:
        raise file_error(folder, "claims nothing: it has no results.json")
    if not is_shared(folder):
        again = f"measure it again: gratis evaluate {folder}"
        refuse_other_settings(folder, RunFolder(folder).recipe(), claimed, again)
    with TemporaryDirectory() as temporary:
        out = Path(temporary) / "evaluation"
        if data:
            own = RunFolder(folder).recipe()
            settings = own.evaluate.model_dump(mode="json", exclude_none=True)
            changes = [override(f"evaluate.{key}", value) for key, value in settings.items()]
            changes = [*data, override("seed", own.seed), *changes, *overrides]
            measured = evaluate_source(ModelSource(str(folder)), changes, sets, out)
        else:
            measured = evaluate_run(folder, sets, overrides, data_root=data_root, out=out)
    return compare(claimed, measured)


def compare(claimed: Results, measured: Results) -> list[Claim]:
    """Return every claimed accuracy with what was measured."""
    found = []
    for metric in _CLAIMED:
        share, value = getattr(claimed, metric), getattr(measured, metric)
        if share is None:
            continue
        interval = () if value is None else wilson(value, measured.n)
        found.append(Claim(metric, share, value, *interval))
    return found
