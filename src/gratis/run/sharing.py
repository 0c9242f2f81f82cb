"""Share a run on the hub: weights, recipe, results, model card and report."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from gratis.errors import GratisError, file_error, quoted
from gratis.files import write_text
from gratis.recipe import Recipe
from gratis.report import read_runs, write_page
from gratis.results import Results, WeightsFile
from gratis.run.folder import WEIGHTS, RunFolder
from gratis.run.hub import PREFIX, endpoint, hub_call
from gratis.run.loading import load_classifier
from gratis.run.settings_check import refuse_other_settings
from gratis.run.shared_folder import REPORT, refuse_code, write_manifest
from gratis.run.sources import base_name
from gratis.training.checkpoint import save_weights


def push_run(
    path: Path, name: str, licence: str = "unknown", private: bool = False, images: bool = False
) -> str:
    """Upload a measured run to the hub as ``USER/NAME``, and return its address there.

    The repository is created if it does not exist; an earlier version of the model stays in its
    history. ``images`` uploads a report with validation images in it.
    """
    from huggingface_hub import HfApi

    name = name.removeprefix(PREFIX)
    if name.count("/") != 1:
        raise GratisError(f"{name}: is not a name on the hub; write USER/NAME")
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        stage(path, name, licence, folder, images)
        api = HfApi(endpoint=endpoint(), library_name="gratis")
        with hub_call(name):
            api.create_repo(name, private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=name, folder_path=folder, commit_message=f"Push {path.resolve().name}"
            )
    return str(done.repo_url)


def stage(path: Path, name: str, licence: str, folder: Path, images: bool = False) -> None:
    """Write the files that :func:`push_run` uploads into a new ``folder``.

    Paths on this machine are left out, and the sample images unless ``images`` is true.

    Raises:
        GratisError: the run is not finished, has no results or those of other settings, or cannot
            be shared.
    """
    refuse_code(RunFolder(path).recipe(), path)
    classifier, position, recipe, info = load_classifier(path)
    results = _own_results(RunFolder(path), recipe)
    shared = _without_paths(recipe)
    described = results.model_copy(
        update={
            "resolved": shared.model_dump(mode="json", exclude_none=True),
            "start": _without_folder(results.start),
        }
    )
    folder.mkdir(parents=True)
    save_weights(folder / WEIGHTS, classifier, position, shared.identity(info))
    write_text(folder / "recipe.yaml", shared.to_yaml())
    info.write(folder / "data.json")
    described.write(folder / "results.json")
    _write_report(path, name, described, folder, images)
    write_manifest(folder, name, licence)


def _own_results(folder: RunFolder, recipe: Recipe) -> Results:
    """Return the results of a run after checking that they are those of its settings and sets."""
    path, results = folder.path, folder.results()
    if results is None:
        raise file_error(path, "has no results", f"measure it: gratis evaluate {quoted(path)}")
    again = f"measure it again: gratis evaluate {quoted(path)}"
    refuse_other_settings(path, recipe, results, again)
    sets = folder.sets_note.noted()
    if sets is not None and sets.is_dir() and not folder.sets_note.measured_on(sets):
        raise file_error(path, "has results on other perturbed sets than it notes", again)
    return results


def _without_folder(weights: WeightsFile | None) -> WeightsFile | None:
    """Return a file of weights by its name alone; that of weights from timm is a name already."""
    if weights is None or weights.sha256 is None:
        return weights
    return weights.model_copy(update={"file": Path(weights.file).name})


def _without_paths(recipe: Recipe) -> Recipe:
    """Return the recipe without the folders of this machine."""
    data = recipe.data.model_copy(update={"root": None, "class_names": None})
    model = recipe.model
    if model.weights is not None:
        # The shared weights replace those that it started from.
        model = model.model_copy(update={"weights": None, "pretrained": False})
    start = recipe.starts_from
    if start is not None:
        start = base_name(start)
    changes = {"data": data, "model": model, "starts_from": start}
    return recipe.model_copy(update=changes)


def _write_report(path: Path, name: str, results: Results, folder: Path, images: bool) -> None:
    found = read_runs([path])
    runs = [replace(run, path=Path(f"{PREFIX}{name}"), results=results) for run in found.runs]
    with TemporaryDirectory() as temporary:
        page = Path(temporary) / "report"
        # The sample images are the user's own, and the report is public.
        write_page(found._replace(runs=runs, unmeasured=[]), runs if images else [], page)
        write_text(folder / REPORT, (page / REPORT).read_text(encoding="utf-8"))
