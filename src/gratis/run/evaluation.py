"""Evaluate a run: its own results, and evaluations with other settings beside it."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gratis.digests import digest
from gratis.errors import GratisError
from gratis.evaluation import EvaluateSettings, measure, require_libraries, rescore
from gratis.files import make_folder
from gratis.ranks import is_first
from gratis.recipe import Recipe, with_evaluation
from gratis.results import Examples, Results, wilson
from gratis.run.folder import RunFolder
from gratis.run.launch import own_device
from gratis.run.loading import load_run
from gratis.run.results_building import run_results, save_measurement, with_natural
from gratis.run.sample_images import sample_images
from gratis.run.validation_sets import load_sets
from gratis.torch_state import fresh_torch_state

logger = logging.getLogger(__name__)


def evaluate_run(
    path: Path,
    sets: Path | None = None,
    overrides: Sequence[str] = (),
    *,
    data_root: Path | None = None,
    out: Path | None = None,
) -> Results:
    """Evaluate the run in the folder ``path`` on its own data.

    Without ``overrides`` (``evaluate.key=value``) and ``out`` the results become the run's own,
    ``results.json``. With other settings, or other sets than the run has, they are written to a
    folder of their own below ``evaluations``, or to ``out``, and the run's own results stay as they
    are. The default of ``sets`` is those that the run was measured on before; without any, the
    geometric set is made, which skips the transfer metrics. ``data_root`` is the folder that holds
    the data now.
    """
    # Read before a lock is put into the folder, which may be no run.
    folder = RunFolder(path)
    recipe = folder.recipe()
    requested = with_evaluation(recipe, overrides)
    noted = folder.sets_note.noted()
    other_sets = sets is not None and noted is not None and sets.absolute() != noted
    own = requested.evaluate == recipe.evaluate and not other_sets
    if out is None and own and not folder.shared:
        with folder.locked():
            return measure_run(path, sets, data_root)
    target = out or folder.evaluation_folder(_key(requested.evaluate, sets if other_sets else None))
    if RunFolder(target).recipe_file.exists():
        raise RunFolder(target).occupied()
    with _made(target), RunFolder(target).locked():
        results = _measure_beside(path, requested, sets, data_root, RunFolder(target))
    if out is None:
        logger.info("results in %s", target)
    return results


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make ``folder``, and remove it again if the block fails before it holds anything."""
    new = [path for path in (folder, folder.parent) if not path.exists()]
    make_folder(folder)
    try:
        yield
    except GratisError:
        for path in new:
            with suppress(OSError):  # it holds something
                path.rmdir()
        raise


def measure_run(path: Path, sets: Path | None = None, data_root: Path | None = None) -> Results:
    """Measure the run in a folder that is locked already, and write its results."""
    folder = RunFolder(path)
    recipe = folder.recipe()
    require_libraries(recipe.evaluate)
    sets = sets or folder.sets_note.sets()
    results = _measured(folder, recipe, sets, data_root, folder)
    if sets is not None and is_first():
        folder.sets_note.write_measured(sets)
    return results


def _measure_beside(
    path: Path, requested: Recipe, sets: Path | None, data_root: Path | None, target: RunFolder
) -> Results:
    """Measure a run with other settings, and write the results into ``target``."""
    require_libraries(requested.evaluate)
    folder = RunFolder(path)
    titled = requested.model_copy(
        update={"title": f"{requested.title} [{_difference(folder, requested)}]"}
    )
    return _measured(folder, titled, sets or folder.sets_note.sets(), data_root, target)


def _measured(
    folder: RunFolder, recipe: Recipe, sets: Path | None, data_root: Path | None, target: RunFolder
) -> Results:
    """Measure the run in ``folder`` as ``recipe`` says, and write the results into ``target``."""
    model, position, _, dataset = load_run(folder.path, data_root)
    geometric = folder.geometric if folder.geometric.exists() else target.geometric
    loaded = load_sets(geometric, dataset, recipe.evaluate.epsilon, sets)
    if sets is not None and folder is target and is_first():
        # Noted only once they are known to fit.
        folder.sets_note.write(sets)
    settings, seed = recipe.evaluate, recipe.seed
    device = own_device()
    with fresh_torch_state(device):
        model.to(device)
        measured = measure(model, dataset.validation, loaded, settings, seed, target.evaluation)
        if is_first():
            save_measurement(target, measured)
            samples = sample_images(model, dataset, loaded, settings, seed, measured.index)
            samples.save(target.sample_images)
    start = folder.start_weights()
    results = run_results(recipe, dataset, model, position, measured, start)
    if folder is target and recipe.harden is not None:
        results = with_natural(results, RunFolder(folder.natural).results())
    if is_first():
        results.write(target.results_file)
    return results


def still_holds(results: Results, folder: RunFolder, sets: Path | None) -> bool:
    """Return whether results have the evaluation settings and the sets of the run."""
    settings = folder.recipe().evaluate.model_dump(mode="json", exclude_none=True)
    sets = sets or folder.sets_note.sets()
    return results.resolved.get("evaluate") == settings and (
        sets is None or folder.sets_note.measured_on(sets)
    )


def _key(settings: EvaluateSettings, sets: Path | None) -> str:
    """Return a folder's name for an evaluation with these settings, on other sets if named."""
    parts = [settings.model_dump_json(), *([] if sets is None else [str(sets.absolute())])]
    return f"{settings.suite}-{digest(parts)[:8]}"


def _difference(folder: RunFolder, requested: Recipe) -> str:
    """Return, as text, which evaluation settings differ from the run's own."""
    before = folder.recipe().evaluate.model_dump(mode="json")
    after = requested.evaluate.model_dump(mode="json")
    changed = [
        f"{key} {_as_text(key, value)}" for key, value in after.items() if before[key] != value
    ]
    return ", ".join(changed) or "evaluated again"


def _as_text(key: str, value: object) -> str:
    if key == "epsilon" and isinstance(value, float):
        return f"{255 * value:.4g}/255"
    return str(value)


def rescore_run(path: Path, file: Path, data_root: Path | None = None) -> str:
    """Return, as text, how many examples in ``file`` a run classifies correctly."""
    examples = Examples.load(file)
    model, _, recipe, dataset = load_run(path, data_root)
    with fresh_torch_state():
        model.to(own_device())
    right = rescore(model, dataset.validation, examples, file, recipe.evaluate.batch_size)
    low, high = wilson(float(right.mean()), len(right))
    return (
        f"{file}: {right.sum()} of {len(right)} correct, {100 * right.mean():.1f}% "
        f"(95% interval {100 * low:.1f} to {100 * high:.1f}); "
        f"all within {255 * examples.epsilon:.4g}/255 (L-infinity) of their images"
    )
