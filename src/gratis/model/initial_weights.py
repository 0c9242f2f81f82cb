"""Weights that a classifier starts from: its backbone's, and its head's where it fits."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from gratis.digests import file_digest
from gratis.errors import GratisError, printable
from gratis.model.classifier import Classifier, Start
from gratis.model.external import class_layers, log_rest
from gratis.model.head import Head
from gratis.model.matching import LoadLimits, Match, match, refuse_misfit
from gratis.model.networks import Architecture
from gratis.model.timm_facts import label_names
from gratis.model.weight_files import read_weights, stored_classes, weights_file

logger = logging.getLogger(__name__)

_State = dict[str, Tensor]
_CLASSES = "head.classes"
_REMEDY = "set model.backbone to the one that it was trained with"


def load_initial_weights(
    classifier: Classifier, classes: Sequence[str], known: Sequence[str] | None = None
) -> Start | None:
    """Load the weights that a classifier's settings name; without any it stays as it is.

    The class layer of the file is kept if it has one row for each class: by name where the names
    of the file's classes are known, and otherwise if the numbers of classes are equal, unless
    ``new_class_layer`` is set. Whether it is kept is logged, and so are tensors that are missing in
    the file or not used.

    Args:
        classifier: as :class:`Classifier` builds it.
        classes: the names of its classes.
        known: the names of the file's classes, in the order of its class layer. Default: those
            that gratis stored in a file or timm in its configuration.
    """
    settings = classifier.settings
    if not settings.pretrained:
        return None
    architecture = Architecture(settings.backbone)
    state, file = _read(architecture, settings.weights, classifier.backbone)
    layers: tuple[str, ...] = ()
    if architecture.origin != "function":
        layers = class_layers(architecture.config)
        if settings.weights is None:
            known = known or label_names(architecture.config)
    if file is not None:
        known = known or stored_classes(file)
    found = match(state, classifier.backbone)
    named = Path(settings.backbone) if file is None else file
    starts = tuple(f"{layer}." for layer in layers)
    limits = LoadLimits(f"the backbone {settings.backbone}", _REMEDY, class_layers=starts)
    refuse_misfit(found, classifier.backbone, named, limits)
    classifier.backbone.load_state_dict(found.tensors, strict=False)
    log_rest(found, named, starts)
    own = _Classes(tuple(classes), known, named, settings.new_class_layer)
    kept = _load_head(classifier.head, found, layers, own)
    _load_denoiser(classifier, found, named)
    return Start(str(named), None if file is None else file_digest(file), kept)


def _read(
    architecture: Architecture, weights: Path | None, backbone: nn.Module
) -> tuple[_State, Path | None]:
    """Return the weights and their file, which those that timm downloads do not have."""
    file = weights or architecture.own_weights()
    if file is not None:
        return read_weights(file, lambda: backbone), weights_file(file)
    return architecture.downloaded_weights(), None


@dataclass(frozen=True)
class _Classes:
    """The classes of a classifier, and those that its weights were trained on."""

    names: tuple[str, ...]
    known: Sequence[str] | None
    file: Path
    new: bool = False

    def rows(self, layer: _State, features: int) -> tuple[list[int] | None, str]:
        """Return the row of each class in a class layer; ``None``, and why, if it has none."""
        if self.new:
            return None, "model.new_class_layer is true"
        if not layer:
            return None, "the file has none that fits"
        if layer["weight"].flatten(1).shape[1] != features:
            return None, "the file's has another number of features"
        rows, n = len(layer["weight"]), len(self.names)
        if self.known is not None and len(self.known) == rows:
            absent = [name for name in self.names if name not in self.known]
            if absent:
                return None, f"{len(absent)} of {n} classes are others, such as {absent[0]!r}"
            return [list(self.known).index(name) for name in self.names], ""
        if rows != n:
            return None, f"the file has {rows} classes, the data {n}"
        kept = f"its class layer of {n} classes is kept, though it has no names for them"
        logger.info(printable(f"{self.file}: {kept}; model.new_class_layer=true replaces it"))
        return list(range(n)), ""

    def log_new(self, what: str, why: str) -> bool:
        """Log that a part of the head is new; return ``False``: it is not kept."""
        # Where the names of the classes are known, one expects the part to be kept.
        level = logging.INFO if self.known is None or self.new else logging.WARNING
        text = f"{self.file}: its {what} is dropped and a new one trained ({why})"
        logger.log(level, printable(text))
        return False


def _load_head(head: nn.Module, found: Match, layers: Sequence[str], classes: _Classes) -> bool:
    """Load the head where it fits; return whether the class layer is among it."""
    if not isinstance(head, Head):
        if classes.new:
            raise GratisError(
                "model.new_class_layer: the network of a function has a class layer of its own; "
                "name a function whose network has a new one"
            )
        return not found.missing
    start = "head.hidden."
    hidden = {k.removeprefix(start): v for k, v in found.others.items() if k.startswith(start)}
    if {k: v.shape for k, v in hidden.items()} != _shapes(head.hidden):
        return classes.log_new("head", f"this one has {len(head.hidden)} hidden layers")
    head.hidden.load_state_dict(hidden)
    layer = found.layer((_CLASSES, *layers))
    rows, problem = classes.rows(layer, head.classes.in_features)
    if rows is None:
        return classes.log_new("class layer", problem)
    with torch.no_grad():
        head.classes.weight.copy_(layer["weight"].flatten(1)[rows])
        bias = layer.get("bias")
        head.classes.bias.copy_(torch.zeros(len(rows)) if bias is None else bias[rows])
    return True


def _load_denoiser(classifier: Classifier, found: Match, file: Path) -> None:
    start = "denoiser."
    state = {k.removeprefix(start): v for k, v in found.others.items() if k.startswith(start)}
    if classifier.denoiser is None:
        if state:
            logger.warning("%s: its denoiser is not used", file)
        return
    if {k: v.shape for k, v in state.items()} == _shapes(classifier.denoiser):
        classifier.denoiser.load_state_dict(state)


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}
