"""Measure a model that was made elsewhere, exactly as a run is measured."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

from lightning_fabric import Fabric
from torch import nn

from gratis.data import Dataset, DataSettings
from gratis.data.source import from_argument
from gratis.errors import GratisError, file_error
from gratis.evaluation import EvaluateSettings, measure, require_libraries
from gratis.evaluation.evaluated_model import device_of
from gratis.evaluation.model_validation import validate_model
from gratis.evaluation.suites import FIXED, Suite
from gratis.files import locked, make_folder
from gratis.model import Onnx, from_function, from_timm
from gratis.recipe import resolve_settings
from gratis.results import Results
from gratis.run.evaluation import evaluate_run, findings, keep, load_once, load_sets
from gratis.run.folder import RunFolder
from gratis.run.machine import commit, device_name, versions
from gratis.run.sample_images import sample_images
from gratis.settings import Settings, validate

Kind = Literal["run", "timm", "onnx", "function"]

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Plan(Settings):
    """On what, and how, a external model is measured."""

    data: DataSettings
    seed: int = 0
    evaluate: EvaluateSettings = EvaluateSettings()


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from.

    ``target`` is a run's folder, a timm model with its ``weights`` in a local file and the
    ``input_size`` in pixels that it wants (``None``: the data's), an ONNX file, or
    ``package.module:function``.
    """

    target: str
    weights: Path | None = None
    input_size: int | None = None

    @property
    def kind(self) -> Kind:
        """What ``target`` is; a timm model is one by its weights."""
        if self.weights is not None:
            return "timm"
        if self.target.endswith(".onnx"):
            return "onnx"
        return "function" if _FUNCTION.fullmatch(self.target) else "run"

    @property
    def name(self) -> str:
        """The name of the model, also as a folder."""
        stem = Path(self.target).stem if self.kind == "onnx" else self.target
        return re.sub(r"[^\w.-]+", "-", stem)

    @property
    def suite(self) -> Suite:
        """The suite that the model is measured with unless another is named."""
        return "transfer" if self.kind == "onnx" else "table"

    def build(self, classes: int) -> nn.Module:
        """Return the model, for so many classes.

        Raises:
            GratisError: it cannot be had; the message names the file and the remedy.
        """
        if self.kind == "onnx":
            return Onnx(Path(self.target))
        if self.kind == "function":
            return from_function(self.target)
        assert self.weights is not None
        return from_timm(self.target, self.weights, classes, self.input_size)


def evaluate_external(
    origin: ModelSource, overrides: Sequence[str], sets: Path | None = None, out: Path | None = None
) -> Results:
    """Measure a model that is no run, and write what a run's measurement writes.

    Args:
        origin: the model.
        overrides: ``data.key=value``, ``evaluate.key=value`` and ``seed=value``.
        sets: perturbed validation sets; without them the geometric one is made, and the transfer
            metrics stay empty.
        out: the folder for the results; ``None`` is ``evaluations/NAME``.

    Raises:
        GratisError: the model or the data cannot be had, the model cannot be measured
            (:func:`gratis.evaluation.model_validation.validate_model`), or as
            :func:`gratis.evaluation.measure`.
    """
    changes = [f"evaluate.suite={origin.suite}", *overrides]
    plan = resolve_settings(Plan, changes, f"evaluation of {origin.target}")
    asked = _Asked(load_once(plan.data), plan.evaluate, sets, plan.seed)
    return _measure_origin(origin, asked, out)


def evaluate_model(
    model: nn.Module | str | Path,
    data: Dataset | str | None = None,
    suite: Suite | None = None,
    sets: Path | None = None,
    out: Path | None = None,
    **settings: Any,
) -> Results:
    """Measure any classifier: ``gratis.evaluate(model, "folder:~/pets", suite="standard")``.

    Args:
        model: a module that maps images (n, 3, height, width) in [0, 1] to logits, measured where
            its parameters are; or a run's folder, an ONNX file or ``package.module:function``.
        data: a data set, or its name as on the command line: ``digits``, ``folder:PATH``; a run
            has its own.
        suite: ``paper``, ``transfer``, ``table``, ``standard`` or ``full``; ``None`` is ``table``,
            or ``transfer`` for an ONNX file.
        sets: a folder of perturbed validation sets, as ``gratis perturb`` makes it.
        out: a folder for the results, where an interrupted evaluation goes on; ``None`` keeps
            nothing of a module, and is the default of the command line for all else.
        settings: those of :class:`gratis.evaluation.EvaluateSettings`, such as ``epsilon="4/255"``.

    Returns:
        Accuracies in [0, 1], every task, and the sanity checks.

    Raises:
        GratisError: as :func:`evaluate_external`.
    """
    chosen = ({"suite": suite} if suite else {}) | settings
    if isinstance(model, nn.Module):
        how = validate(EvaluateSettings, chosen, "evaluate")
        return _measure(model, type(model).__name__, _Asked(_dataset(data), how, sets), out)
    origin = ModelSource(str(model))
    if origin.kind == "run":
        # JSON strings are YAML strings, and JSON numbers YAML numbers.
        overrides = [f"evaluate.{key}={json.dumps(value)}" for key, value in chosen.items()]
        return evaluate_run(Path(origin.target), sets, overrides)
    how = validate(EvaluateSettings, {"suite": origin.suite} | chosen, "evaluate")
    return _measure_origin(origin, _Asked(_dataset(data), how, sets), out)


class _Asked(NamedTuple):
    """On what, and how, a model is to be measured."""

    dataset: Dataset
    settings: EvaluateSettings
    sets: Path | None
    seed: int = 0


def _dataset(data: Dataset | str | None) -> Dataset:
    if isinstance(data, Dataset):
        return data
    if data is None:
        raise GratisError("name the data to measure on, such as 'digits' or 'folder:PATH'")
    return load_once(validate(DataSettings, from_argument(data), "data"))


def _measure_origin(origin: ModelSource, asked: _Asked, out: Path | None) -> Results:
    model = origin.build(len(asked.dataset.classes))
    model.to(Fabric(accelerator="auto", devices=1).device)
    return _measure(model, origin.name, asked, out or Path("evaluations", origin.name))


def _measure(model: nn.Module, name: str, asked: _Asked, out: Path | None) -> Results:
    require_libraries(asked.settings)
    attacks = asked.settings.suite not in FIXED
    validate_model(model, asked.dataset, name, attacks, asked.settings.batch_size)
    if out is None:
        with TemporaryDirectory() as temporary:
            return _measure_into(RunFolder(Path(temporary)), model, name, asked)
    folder = RunFolder(out)
    if folder.recipe_file.exists():
        raise file_error(out, "is the folder of a run", "choose another with --out")
    make_folder(out)
    with locked(out):
        return _measure_into(folder, model, name, asked)


def _measure_into(folder: RunFolder, model: nn.Module, name: str, asked: _Asked) -> Results:
    dataset, settings = asked.dataset, asked.settings
    sets = load_sets(folder.geometric, dataset, settings.epsilon, asked.sets)
    measured = measure(model, dataset.validation, sets, settings, asked.seed, folder.evaluation)
    keep(folder, measured)
    samples = sample_images(model, dataset, sets, settings, asked.seed, measured.index)
    samples.save(folder.sample_images)
    results = Results(
        recipe=name,
        title=name,
        seed=asked.seed,
        **findings(measured, dataset, settings),
        backbone=type(model).__name__,
        parameters=sum(p.numel() for p in model.parameters()),
        input_size=dataset.size,
        passes=0,
        epochs=0,
        seconds=0,
        device=device_name(device_of(model)),
        commit=commit(),
        versions=versions(),
        resolved={
            "name": name,
            "data": dataset.name,
            "seed": asked.seed,
            "evaluate": settings.model_dump(mode="json"),
        },
    )
    results.write(folder.results_file)
    return results
