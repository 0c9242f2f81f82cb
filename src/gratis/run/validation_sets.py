"""Make the perturbed validation sets of a run, and open them."""

from pathlib import Path

from gratis.data import Dataset
from gratis.ranks import is_first, wait_for_all
from gratis.run.folder import RunFolder
from gratis.run.launch import own_device
from gratis.run.loading import load_run
from gratis.validation_sets import PerturbedSets, build, perturbed_sets
from gratis.validation_sets.manifest import read_manifest

# The noise of the fixed sets is independent of the run's seed.
SETS_SEED = 0


def build_sets(baseline: Path, folder: Path, data_root: Path | None = None) -> None:
    """Make the perturbed validation sets in ``folder`` from the run ``baseline``.

    ``data_root`` is the folder that holds the data now. Default: where it was in training.
    """
    model, _, recipe, dataset = load_run(baseline, data_root)
    model.to(own_device())
    build(folder, dataset.validation, dataset.flippable, model, recipe.evaluate.epsilon, SETS_SEED)


def ensure_sets(baseline: Path, folder: Path) -> None:
    """Make the sets in ``folder`` from the run ``baseline``, unless they were made from it."""
    if _measured_on(RunFolder(baseline), folder):
        return
    model, _, recipe, dataset = load_run(baseline)
    model.to(own_device())
    if not perturbed_sets.made_from(folder, model, recipe.evaluate.epsilon, dataset.validation):
        build_sets(baseline, folder)


def _measured_on(baseline: RunFolder, folder: Path) -> bool:
    """Return whether the results of ``baseline`` say that the sets are its own."""
    return (
        baseline.results() is not None
        and baseline.sets_note.measured_on(folder)
        and read_manifest(folder).epsilon == baseline.recipe().evaluate.epsilon
    )


def load_sets(
    geometric: Path, dataset: Dataset, epsilon: float, sets: Path | None
) -> PerturbedSets:
    """Return the perturbed sets in ``sets``, or else those in ``geometric``, made where missing."""
    if sets is not None:
        return perturbed_sets.load(sets, dataset.validation)
    if is_first() and not geometric.exists():
        build(geometric, dataset.validation, dataset.flippable, None, epsilon, SETS_SEED)
    wait_for_all()
    return perturbed_sets.load(geometric, dataset.validation)
