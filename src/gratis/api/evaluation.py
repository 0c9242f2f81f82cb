"""Evaluate any classifier."""

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor, nn

from gratis.api.arguments import named_data, optional_path, python_names, whole_number
from gratis.api.attacking import class_count
from gratis.api.loading import ModelPath, source_of
from gratis.attacks import frozen
from gratis.data import Dataset, DataSettings, Split, to_float
from gratis.data.arrays import dataset_from_split, split_from_arrays, split_from_batches
from gratis.data.dataset import checked_split
from gratis.errors import GratisError, printable
from gratis.evaluation import EvaluateSettings
from gratis.evaluation.evaluated_model import ExampleFormat, device_of
from gratis.evaluation.suites import Suite
from gratis.results import Results
from gratis.run import (
    EvaluationPlan,
    as_in_training,
    evaluate_model,
    evaluate_run,
    evaluate_source,
    load_once,
    refuse_other_classes,
)
from gratis.run.launch import own_device
from gratis.settings import override, validate
from gratis.trusted_code import takes_trust_code

# Images with labels, in any supported form.
Data = str | DataSettings | Dataset | Split | Tensor | ArrayLike | Iterable[Any]


class EvaluateOptions(TypedDict, total=False):
    """Options of an evaluation; see :class:`gratis.evaluation.EvaluateSettings`."""

    suite: Suite
    epsilon: float | str
    epsilon_l2: float | str
    pgd_steps: int
    restarts: int | None
    epsilons: Sequence[float | str] | None
    batch_size: int
    images: int | None
    examples: ExampleFormat | None


@python_names
@takes_trust_code
def evaluate(
    model: nn.Module | ModelPath,
    data: Data | None = None,
    labels: Tensor | ArrayLike | None = None,
    *,
    data_root: str | PathLike[str] | None = None,
    skip_broken: bool = False,
    weights: ModelPath | None = None,
    input_size: int | None = None,
    classes: int | None = None,
    seed: int | None = None,
    sets: str | PathLike[str] | None = None,
    out: str | PathLike[str] | None = None,
    reuse: bool = False,
    trust_code: bool = False,
    **options: Unpack[EvaluateOptions],
) -> Results:
    """Measure a classifier: clean, geometric and attacked accuracy.

    Args:
        model: a module that maps images (n, 3, height, width) in [0, 1] to logits, measured where
            its parameters are and left as it was; or what :func:`load` takes.
        data: images, with ``labels``; a loader or torch data set of (images, labels); a data set's
            name, such as ``digits`` or ``folder:PATH``, or its :class:`gratis.data.DataSettings`,
            which also have a size. Default for a run: its own data.
        labels: int64 (n,), where ``data`` is images: float (n, 3, height, width) in [0, 1], or
            uint8.
        data_root: the folder that holds a named data set. For a run: where its own data is now.
        skip_broken: whether to leave out images of a named data set that cannot be read. Default:
            they are an error.
        weights: the local weights of a timm model or of a function's network, as :func:`load`
            takes them.
        input_size: height and width in pixels that the network sees. Default: the data's.
        classes: the number of classes of a timm model, where ``data`` has no class names.
        seed: the seed of everything random. Default: 0; a run on its own data has its own.
        sets: a folder of perturbed validation sets, as ``gratis perturb`` makes it.
        out: a folder for the results, where an interrupted evaluation continues. Default:
            results of a module are not stored; a run's go to its folder, or to a subfolder if the
            settings differ.
        reuse: whether to use outcomes in ``out`` although the model holds objects whose state
            cannot be read, such as locks or extensions in C. Those of other models are always used
            again, if nothing that decides them has changed.
        trust_code: whether to import the code that the recipe of a run names as its network.
            Default: it is refused.
        options: ``suite`` (``paper``, ``transfer``, ``table``, ``standard``, ``autoattack`` or
            ``full``), ``epsilon``, ``epsilon_l2``, ``pgd_steps``, ``restarts``, ``epsilons``,
            ``batch_size``, ``images`` (how many to measure), ``examples``.

    Returns:
        Accuracies in [0, 1], every task of the suite, and the sanity checks.

    Raises:
        GratisError: the model or the data cannot be loaded or measured, or an argument does not
            apply.
    """
    folder, perturbed = optional_path("out", out), optional_path("sets", sets)
    root = optional_path("data_root", data_root)
    seed = None if seed is None else whole_number("seed", seed)
    classes = None if classes is None else whole_number("classes", classes, 1)
    if isinstance(model, nn.Module):
        if any(given is not None for given in (weights, input_size, classes)):
            raise GratisError(
                "evaluate: weights, input_size and classes apply to named models only; load and "
                "resize inside the module"
            )
        if reuse and folder is None:
            raise GratisError("evaluate: reuse applies where results are stored; name a folder out")
        settings = validate(EvaluateSettings, dict(options), "evaluate")
        dataset = _dataset(data, labels, model, root, skip_broken)
        name = type(model).__name__
        plan = EvaluationPlan(name, dataset, settings, seed or 0, perturbed, reuse=reuse)
        return evaluate_model(model, plan, folder)
    source = source_of(model, weights, input_size)
    if classes is not None and source.kind != "timm":
        raise GratisError("evaluate: classes applies to timm models only")
    changes = [override(f"evaluate.{key}", value) for key, value in options.items()]
    if source.kind == "run" and data is None:
        if seed is not None or labels is not None or skip_broken or reuse:
            raise GratisError(
                "evaluate: a run on its own data has its own seed, labels and skip_broken, and "
                "uses its outcomes again; leave out seed, labels, skip_broken and reuse"
            )
        return evaluate_run(source.folder, perturbed, changes, data_root=root, out=folder)
    if isinstance(data, str | DataSettings) and labels is None:
        chosen = _named(data, root, skip_broken)
        changes += [override(f"data.{key}", value) for key, value in chosen.items()]
        changes.append(override("seed", seed or 0))
        return evaluate_source(source, changes, perturbed, folder, reuse)
    settings = validate(EvaluateSettings, {"suite": source.suite} | options, "evaluate")
    module = source.build(len(data.classes) if isinstance(data, Dataset) else classes)
    module.to(own_device())
    dataset = _dataset(data, labels, module, root, skip_broken)
    plan = EvaluationPlan(source.name, dataset, settings, seed or 0, perturbed, reuse=reuse)
    return evaluate_model(module, source.described(plan), folder)


def _dataset(
    data: Data | None, labels: Any, model: nn.Module, root: Path | None, skip_broken: bool
) -> Dataset:
    if data is None:
        raise GratisError(
            "evaluate: name the data to measure on, such as 'digits' or 'folder:PATH', or pass "
            "images and labels"
        )
    if labels is None and isinstance(data, str | DataSettings):
        chosen = as_in_training(model) | _named(data, root, skip_broken)
        found = load_once(validate(DataSettings, chosen, "data"))
        refuse_other_classes(model, found, type(model).__name__)
        return found
    if root is not None or skip_broken:
        raise GratisError(
            "evaluate: data_root and skip_broken apply to named data only, such as 'folder:PATH'"
        )
    if labels is None and isinstance(data, Dataset):
        refuse_other_classes(model, data, type(model).__name__)
        return data
    if isinstance(data, PathLike):
        kind = "csv" if str(data).endswith(".csv") else "folder"
        raise GratisError(f"evaluate: data is a path; write '{kind}:{printable(str(data))}'")
    split = _split(data, labels)
    return dataset_from_split(split, _class_count(model, split))


def _named(data: str | DataSettings, root: Path | None, skip_broken: bool) -> dict[str, Any]:
    """Return the settings of a data set that is named."""
    if isinstance(data, str):
        return dict(named_data(data, root, skip_broken))
    return data.model_dump(mode="json", exclude_unset=True) | named_data(None, root, skip_broken)


def _split(data: Any, labels: Any) -> Split:
    if labels is not None:
        if isinstance(data, str | DataSettings | Dataset | Split):
            raise GratisError("evaluate: labels come with images only; this data has its own")
        return split_from_arrays(data, labels)
    if isinstance(data, Split):
        return checked_split("data", data)
    if isinstance(data, tuple) and len(data) == 2:
        return split_from_arrays(*data)
    if isinstance(data, Tensor | np.ndarray):
        raise GratisError("evaluate: images need labels: evaluate(model, images, labels)")
    return split_from_batches(data)


def _class_count(model: nn.Module, split: Split) -> int:
    """Return the model's number of outputs.

    If the model cannot be run, it is the number of classes in the labels.
    """
    try:
        with frozen(model):
            return class_count(model, to_float(split.images[:1], device_of(model)))
    # The validation of the model says what is wrong with it.
    except GratisError:
        return max(int(split.labels.max()) + 1, 2)
