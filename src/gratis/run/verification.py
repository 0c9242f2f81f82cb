"""Measure again what a shared model claims."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gratis.errors import GratisError, file_error, quoted
from gratis.results import METRICS, Results, difference
from gratis.run.evaluation import evaluate_run
from gratis.run.external import evaluate_source
from gratis.run.folder import RunFolder
from gratis.run.hub import local_folder
from gratis.run.settings_check import refuse_other_settings
from gratis.run.shared_folder import check, is_shared
from gratis.run.sources import ModelSource
from gratis.settings import override

# What may differ from the settings of the claims.
_FREE = ("evaluate.images=", "evaluate.batch_size=")
# On the same images only rounding differs between machines. It may change the outcome of this share
# of the images, and of so many.
_ROUNDING_SHARE, _ROUNDING_IMAGES = 0.005, 2

_CLAIMED = (*METRICS, "robust", "robust_l2", "geometric_worst", "expected")


@dataclass(frozen=True)
class Claim:
    """A claimed accuracy and what was measured here, as shares in [0, 1].

    Attributes:
        metric: the metric.
        claimed: the claimed accuracy.
        measured: the accuracy measured here; ``None`` where it was not measured.
        low: the lower bound of what the true difference, measured minus claimed, can be.
        high: its upper bound.
    """

    metric: str
    claimed: float
    measured: float | None
    low: float = -1.0
    high: float = 1.0

    @property
    def holds(self) -> bool | None:
        """Whether the difference can be zero; ``None`` where nothing was measured."""
        return None if self.measured is None else self.low <= 0 <= self.high


@dataclass(frozen=True)
class Verification:
    """What a model claims, and what was measured.

    Attributes:
        same_images: whether both were measured on the same images, where only rounding differs.
            Otherwise both are samples.
        claims: every claimed accuracy.
    """

    same_images: bool
    claims: tuple[Claim, ...]


def verify(
    target: str | Path,
    overrides: Sequence[str] = (),
    data: Sequence[str] = (),
    data_root: Path | None = None,
    sets: Path | None = None,
) -> Verification:
    """Measure a model again with the settings and the seed of its results, and compare.

    Args:
        target: ``hub:USER/NAME``, the folder of a shared model, or a run.
        overrides: ``evaluate.images=N`` and ``evaluate.batch_size=N``.
        data: ``data.key=value``, other data to measure on. Default: the data of its recipe.
        data_root: the folder that holds the data of its recipe.
        sets: the perturbed validation sets of a baseline, for the transfer metrics.

    Raises:
        GratisError: an override changes what the claims mean, a file is not intact, the results are
            those of other settings than the recipe has, the data cannot be read or is not that of
            the recipe, or there are no results.
    """
    if wrong := [text for text in overrides if not text.startswith(_FREE)]:
        problem = "the claims were measured with other settings"
        raise GratisError(
            f"{wrong[0]}: {problem}; verify takes evaluate.images and evaluate.batch_size only"
        )
    folder = local_folder(target)
    if is_shared(folder):
        check(folder)
    claimed = RunFolder(folder).results()
    if claimed is None:
        raise file_error(folder, "claims nothing: it has no results.json")
    if not is_shared(folder):
        again = f"measure it again: gratis evaluate {quoted(folder)}"
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
    # A run's own data is always that of its training.
    trained_on = RunFolder(folder).data().fingerprint
    same_data = measured.resolved.get("fingerprint", trained_on) == trained_on
    return compare(claimed, measured, same_data)


def compare(claimed: Results, measured: Results, same_data: bool) -> Verification:
    """Return every claimed accuracy with what was measured.

    On the same images the outcomes of a few may differ, because machines round differently. On
    others, or on fewer, both accuracies are samples, and the difference has a 95% interval.
    """
    same_images = same_data and claimed.n == measured.n
    found = []
    for metric in _CLAIMED:
        share, value = getattr(claimed, metric), getattr(measured, metric)
        if share is None:
            continue
        if value is None:
            found.append(Claim(metric, share, None))
        elif same_images:
            few = max(_ROUNDING_SHARE, _ROUNDING_IMAGES / measured.n) + 1e-9
            found.append(Claim(metric, share, value, value - share - few, value - share + few))
        else:
            here, there = measured.images_of(metric), claimed.images_of(metric)
            found.append(Claim(metric, share, value, *difference((share, there), (value, here))))
    return Verification(same_images, tuple(found))
