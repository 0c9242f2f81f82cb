"""The natural model of a hardened run: the given one, trained on the data if its head is new."""

from pathlib import Path

from gratis.data import Dataset
from gratis.digests import tensors_digest
from gratis.errors import file_error
from gratis.evaluation import EvaluateSettings, measure
from gratis.files import make_folder
from gratis.model import InferenceModel
from gratis.recipe import Recipe, parse_recipe
from gratis.results import Results
from gratis.run.build import build_model
from gratis.run.evaluation import measure_run, still_holds
from gratis.run.evaluation_plan import EvaluationPlan
from gratis.run.folder import RunFolder
from gratis.run.launch import own_device
from gratis.run.loading import load_classifier
from gratis.run.results_building import external_results, save_measurement
from gratis.run.sample_images import sample_images
from gratis.run.validation_sets import load_sets
from gratis.torch_state import fresh_torch_state
from gratis.training import weights_file

StateDict = weights_file.StateDict


def natural_recipe(recipe: Recipe) -> Recipe | None:
    """Return the recipe of the natural training before hardening, or ``None`` if there is none."""
    assert recipe.harden is not None
    if recipe.harden.natural_training is None:
        return None
    content = recipe.model_dump(mode="json", exclude_none=True)
    content |= {
        "name": f"{recipe.name}-before",
        "title": f"{recipe.title}: before",
        "adversary": {"natural": {}},
        "train": content.pop("harden")["natural_training"],
    }
    return parse_recipe(content, f"recipe {recipe.name}")


def read_start(folder: RunFolder, recipe: Recipe) -> StateDict:
    """Return the weights that a hardened run starts from."""
    assert recipe.harden is not None
    state = weights_file.read(folder.start, {"digest": recipe.harden.digest})
    if tensors_digest(state) != recipe.harden.digest:
        raise file_error(folder.start, "belongs to another run", "harden into a new folder")
    return state


def natural_state(folder: RunFolder, recipe: Recipe) -> StateDict:
    """Return the weights of the natural model, whose training is finished."""
    if natural_recipe(recipe) is None:
        return read_start(folder, recipe)
    return load_classifier(folder.natural)[0].state_dict()


def measure_natural(folder: RunFolder, recipe: Recipe, dataset: Dataset, sets: Path | None) -> None:
    """Measure the natural model like the run, in the run's folder ``natural``."""
    natural = RunFolder(folder.natural)
    found = natural.results()
    if natural_recipe(recipe) is not None:
        if found is None or not still_holds(found, natural, sets):
            with natural.locked():
                measure_run(natural.path, sets)
        return
    sets = sets or folder.sets_note.sets()
    on_these = sets is None or natural.sets_note.measured_on(sets)
    if found is None or not on_these or _settings_of(found) != recipe.evaluate:
        make_folder(natural.path)
        with natural.locked():
            _measure_given(folder, natural, dataset, sets)


def _settings_of(found: Results) -> EvaluateSettings:
    return EvaluateSettings.model_validate(found.resolved["evaluate"])


def _measure_given(
    folder: RunFolder, natural: RunFolder, dataset: Dataset, sets: Path | None
) -> None:
    """Measure the given model, which is not trained here, in the folder ``natural``."""
    recipe = folder.recipe()
    model = build_model(recipe, dataset.classes)
    model.load_state_dict(natural_state(folder, recipe))
    data = recipe.data
    wrapped = InferenceModel(model, dataset.classes, dataset.size, data.resize, data.white_level)
    device = own_device()
    plan = EvaluationPlan(f"{recipe.name}-before", dataset, recipe.evaluate, recipe.seed, sets)
    perturbed = load_sets(folder.geometric, dataset, plan.settings.epsilon, plan.sets)
    settings, seed = plan.settings, plan.seed
    with fresh_torch_state(device):
        wrapped.to(device)
        split = dataset.validation
        measured = measure(wrapped, split, perturbed, settings, seed, natural.evaluation)
        save_measurement(natural, measured)
        samples = sample_images(wrapped, dataset, perturbed, settings, seed, measured.index)
    samples.save(natural.sample_images)
    external_results(plan, wrapped, measured, device).write(natural.results_file)
    if sets is not None:
        natural.sets_note.write_measured(sets)
