"""Export a run as files that work without gratis."""

import json
import logging
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from gratis.data import to_float
from gratis.errors import GratisError
from gratis.evaluation.measure import evenly_spaced
from gratis.exporters import ENDINGS, EXPORTERS, Content, kind_of
from gratis.model import InferenceModel
from gratis.model.stored_facts import StoredFacts
from gratis.results import METRICS, Results
from gratis.run.folder import RunFolder
from gratis.run.hub import local_folder
from gratis.run.loading import load_classifier, load_run
from gratis.torch_state import fresh_torch_state, full_precision

logger = logging.getLogger(__name__)

# The most validation images that an export is checked on.
_CHECKED = 1000


def export_run(
    path: Path, out: Path | None = None, kind: str | None = None, data_root: Path | None = None
) -> Path:
    """Write the classifier of a run as files that work without gratis, and check them.

    The arguments are those of :func:`gratis.export`; ``path`` may be ``hub:USER/NAME``.
    """
    target = Path(f"{path.resolve().name}{ENDINGS.get(kind or '', '')}") if out is None else out
    chosen = kind_of(target, kind)
    with fresh_torch_state(), full_precision(torch.device("cpu")):
        EXPORTERS[chosen](_content(local_folder(path), data_root), target)
    return target


def _content(path: Path, data_root: Path | None) -> Content:
    classifier, _, recipe, info = load_classifier(path)
    data = recipe.data
    model = InferenceModel(classifier, info.classes, info.size, data.resize, data.white_level)
    model.to(memory_format=torch.contiguous_format)
    model.requires_grad_(False)
    facts = StoredFacts(
        classes=info.classes, image_size=info.size, resize=data.resize, white_level=data.white_level
    )
    described = {
        "gratis.version": version("gratis"),
        "gratis.recipe": recipe.name,
        "gratis.input": f"float32 (n, 3, {info.size}, {info.size}), RGB in [0, 1]",
        "gratis.measured": json.dumps(_measured(RunFolder(path).results())),
    }
    images, labels = _images(path, data_root, info.size)
    return Content(model, images, labels, facts.to_text() | described)


def _measured(results: Results | None) -> dict[str, object]:
    """Return what was measured of the model, and how; empty if nothing was."""
    if results is None:
        return {}
    fields = (*METRICS, "robust", "robust_l2", "n", "data", "epsilon", "pgd_steps", "suite")
    values = {field: getattr(results, field) for field in (*fields, "commit")}
    return {field: value for field, value in values.items() if value is not None}


def _images(path: Path, data_root: Path | None, size: int) -> tuple[Tensor, Tensor | None]:
    """Return up to 1,000 validation images with labels; random ones if the data is not there."""
    try:
        _, _, _, dataset = load_run(path, data_root)
    except GratisError as error:
        logger.warning(
            f"the export is checked on random images, since its data cannot be read: {error}"
        )
        random = torch.rand(32, 3, size, size, generator=torch.Generator().manual_seed(0))
        return random, None
    split = dataset.validation
    split = split.take(evenly_spaced(len(split), _CHECKED))
    return to_float(split.images, "cpu").contiguous(), torch.from_numpy(split.labels)
