"""Evaluate a model that gratis did not train, exactly as a run is evaluated."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from gratis.data import OWN_IMAGES, Dataset, DataSettings, to_float
from gratis.digests import digest
from gratis.errors import GratisError
from gratis.evaluation import EvaluateSettings, measure, require_libraries
from gratis.evaluation.cache import CacheFolder
from gratis.evaluation.contiguous import with_contiguous_inputs
from gratis.evaluation.evaluated_model import device_of
from gratis.evaluation.model_validation import refuse_lazy, validate_model
from gratis.evaluation.suites import FIXED
from gratis.files import make_folder
from gratis.model import InferenceModel, Onnx
from gratis.ranks import is_first
from gratis.recipe import resolve_settings
from gratis.results import Measurement, Results
from gratis.run.evaluation_plan import EvaluationPlan
from gratis.run.folder import RunFolder
from gratis.run.launch import own_device
from gratis.run.loading import load_once
from gratis.run.results_building import external_results, save_measurement
from gratis.run.sample_images import sample_images
from gratis.run.sources import ModelSource
from gratis.run.validation_sets import load_sets
from gratis.settings import Settings, override
from gratis.torch_state import fresh_torch_state
from gratis.validation_sets import PerturbedSets

# Images that show whether a model needs contiguous copies.
_FEW = 2


class _Request(Settings):
    """What the overrides of an external evaluation may set."""

    data: DataSettings
    seed: int = 0
    evaluate: EvaluateSettings = EvaluateSettings()


def evaluate_source(
    source: ModelSource,
    overrides: Sequence[str],
    sets: Path | None = None,
    out: Path | None = None,
    reuse: bool = False,
) -> Results:
    """Evaluate a model of any source on a named data set.

    Args:
        source: the model. Images are read as those that a run, or an export of one, was trained
            on.
        overrides: ``data.key=value``, ``evaluate.key=value`` and ``seed=value``.
        sets: as for :class:`EvaluationPlan`.
        out: the folder for the results. Default: ``evaluations/NAME-DATA-KEY``, where the key tells
            models, weights and data of one name apart.
        reuse: as for :class:`EvaluationPlan`.

    Raises:
        GratisError: the model or the data cannot be loaded, a run was trained on other classes,
            or as :func:`evaluate_model`.
    """
    changes = [override("evaluate.suite", source.suite), *_image_settings(source), *overrides]
    asked = resolve_settings(_Request, changes, f"evaluation of {source.target}")
    data = asked.data
    if data.name in OWN_IMAGES and data.size is None:
        # Own images are read at the size that the model sees, and not resized twice.
        data = data.model_copy(update={"size": source.input_size})
    dataset = load_once(data)
    model = source.build(len(dataset.classes))
    refuse_other_classes(model, dataset, source.target)
    with fresh_torch_state():
        model.to(own_device())
    plan = EvaluationPlan(source.name, dataset, asked.evaluate, asked.seed, sets)
    plan = source.described(plan)._replace(reuse=reuse)
    return evaluate_model(model, plan, out or _default_folder(source, asked, sets))


def _default_folder(source: ModelSource, asked: _Request, sets: Path | None) -> Path:
    """Return a folder that no other model, file of weights, data set or settings have."""
    paths = (Path(source.target), source.weights, sets)
    named = ["" if path is None else str(path.absolute()) for path in paths]
    key = digest([*named, str(source.input_size), asked.model_dump_json()])
    return Path("evaluations", f"{source.name}-{asked.data.name}-{key[:8]}")


def _image_settings(source: ModelSource) -> list[str]:
    """Return how the images that a model was trained on were read, as overrides of the data's."""
    if source.kind == "run":
        return RunFolder(source.folder).image_settings()
    if source.kind != "onnx":
        return []
    known = as_in_training(source.build())
    if source.input_size is not None:
        known |= {"size": source.input_size}
    return [override(f"data.{key}", value) for key, value in known.items()]


def as_in_training(model: nn.Module) -> dict[str, Any]:
    """Return the settings of data by which images are read as those that a model was trained on.

    Models of runs know them, and so do ONNX files that were exported from runs.
    """
    if not isinstance(model, InferenceModel | Onnx):
        return {}
    names = {"size": "image_size", "resize": "resize", "white_level": "white_level"}
    values = {key: getattr(model, name, None) for key, name in names.items()}
    return {key: value for key, value in values.items() if value is not None}


def refuse_other_classes(model: nn.Module, dataset: Dataset, name: str) -> None:
    """Refuse to measure a trained classifier on other classes than its own."""
    own = getattr(model, "classes", None) if isinstance(model, InferenceModel | Onnx) else None
    if own is None or own == dataset.classes:
        return
    pairs = zip(own, dataset.classes, strict=False)
    first = next((pair for pair in pairs if pair[0] != pair[1]), None)
    differs = (
        f"{first[0]!r} where the data has {first[1]!r}"
        if first
        else f"{len(own)} of them, where the data has {len(dataset.classes)}"
    )
    raise GratisError(
        f"{name}: was trained on other classes ({differs}); name data with the classes that it was "
        "trained on"
    )


def evaluate_model(model: nn.Module, plan: EvaluationPlan, out: Path | None = None) -> Results:
    """Evaluate a module where its parameters are, and return what a run's evaluation returns.

    An interrupted evaluation continues from the folder ``out``; by default nothing is kept.
    """
    settings = plan.settings
    require_libraries(settings)
    attacks = settings.suite not in FIXED
    refuse_lazy(model, plan.name)
    few = to_float(plan.dataset.validation.images[:_FEW], device_of(model))
    given, model = model, with_contiguous_inputs(model, few, plan.name)
    validate_model(model, plan.dataset, plan.name, attacks, settings.batch_size)
    if out is None:
        with TemporaryDirectory() as temporary:
            _, measured = _measured(model, plan, Path(temporary) / "geometric", None)
        return external_results(plan, given, measured, device_of(model))
    folder = RunFolder(out)
    if folder.recipe_file.exists():
        raise folder.occupied()
    make_folder(out)
    with folder.locked():
        sets, measured = _measured(model, plan, folder.geometric, folder.evaluation)
        results = external_results(plan, given, measured, device_of(model))
        if is_first():
            save_measurement(folder, measured)
            chosen = (settings, plan.seed, measured.index)
            with fresh_torch_state(device_of(model)):
                samples = sample_images(model, plan.dataset, sets, *chosen)
            samples.save(folder.sample_images)
            results.write(folder.results_file)
    return results


def _measured(
    model: nn.Module, plan: EvaluationPlan, geometric: Path, cache: Path | None
) -> tuple[PerturbedSets, Measurement]:
    sets = load_sets(geometric, plan.dataset, plan.settings.epsilon, plan.sets)
    split = plan.dataset.validation
    folder = None if cache is None else CacheFolder(cache, plan.reuse, plan.code)
    return sets, measure(model, split, sets, plan.settings, plan.seed, folder)
