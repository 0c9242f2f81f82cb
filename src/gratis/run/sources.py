"""Where a model comes from: a run, timm with weights, an ONNX file, or a function."""

import re
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from torch import nn

from gratis.digests import file_digest
from gratis.errors import GratisError, printable
from gratis.evaluation.model_state import state_of
from gratis.evaluation.suites import Suite
from gratis.model import (
    Architecture,
    InferenceModel,
    Onnx,
    Resized,
    external_weights,
    from_function,
    from_timm,
    load_all,
    weights_file,
)
from gratis.results import WeightsFile
from gratis.run.evaluation_plan import EvaluationPlan
from gratis.run.folder import RunFolder
from gratis.run.hub import PREFIX, local_folder
from gratis.run.loading import load_classifier
from gratis.torch_state import fresh_torch_state

Kind = Literal["run", "timm", "onnx", "function"]


def base_name(target: str) -> str:
    """Return a model's name without the folders of this machine; names on a hub stay whole."""
    if target.startswith((PREFIX, "hf-hub:")):
        return target
    return Path(target.removeprefix("local-dir:")).name or "model"


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from.

    Attributes:
        target: the folder of a run; ``hub:USER/NAME``, a run that was shared; the name of a timm
            model; ``local-dir:PATH`` or
            ``hf-hub:USER/NAME``, a model in timm's format; an ONNX file; or
            ``package.module:function``.
        weights: the local weights of a timm model or of a function's network
            (:func:`gratis.model.read_weights`).
        input_size: height and width in pixels that the network sees. Default: those of the images,
            or those that a network of one size was made for.
    """

    target: str
    weights: Path | None = None
    input_size: int | None = None

    def __post_init__(self) -> None:
        """Refuse what does not apply to the model."""
        if self.input_size is not None and self.kind == "run":
            problem = "a run has the input size that it was trained with"
            raise GratisError(f"{self.target}: {problem}; leave out --input-size")
        folder = RunFolder(Path(self.target))
        if self.weights is not None and (self.kind == "onnx" or folder.recipe_file.is_file()):
            kind = "an ONNX file" if self.kind == "onnx" else "a run"
            raise GratisError(f"{self.target}: {kind} has its own weights; leave out --weights")

    @property
    def kind(self) -> Kind:
        """What ``target`` is; ``weights`` make a plain name that of a timm model."""
        if self.target.endswith(".onnx"):
            return "onnx"
        origin = Architecture(self.target).origin
        if origin == "function":
            return "function"
        return "run" if origin == "timm" and self.weights is None else "timm"

    @property
    def name(self) -> str:
        """The name of the model, which is also the name of a folder."""
        stem = Path(self.target).stem if self.kind == "onnx" else base_name(self.target)
        # A name of dots is another folder.
        return re.sub(r"[^\w.-]+", "-", stem).strip(".") or "model"

    @cached_property
    def folder(self) -> Path:
        """The folder of a run; that of a model on the hub is downloaded."""
        return local_folder(self.target)

    @property
    def suite(self) -> Suite:
        """The default suite: ONNX files have no gradients."""
        return "transfer" if self.kind == "onnx" else "table"

    def described(self, plan: EvaluationPlan) -> EvaluationPlan:
        """Return a plan that names the file of the weights of this model, which is built."""
        if self.kind == "run":
            return plan
        file = self.weights or (Path(self.target) if self.kind == "onnx" else None)
        if self.kind == "timm":
            file = file or Architecture(self.target).own_weights()
        if file is not None:
            plan = plan._replace(weights=self._weights_file(weights_file(file)))
        return plan._replace(code=self._code())

    def _weights_file(self, file: Path) -> WeightsFile:
        external = external_weights(file) if self.kind == "onnx" else {}
        names = {printable(name): found for name, found in external.items()}
        return WeightsFile(file=str(file), sha256=file_digest(file), external=names)

    def _code(self) -> str:
        """Return the digest of a function: the file that it is in, and what its code leads to."""
        if self.kind != "function":
            return ""
        name, _, attribute = self.target.partition(":")
        module = sys.modules.get(name)
        return state_of([module, getattr(module, attribute, None)]).digest

    def build(self, classes: int | None = None) -> nn.Module:
        """Return the model: images in [0, 1] to logits, in evaluation mode.

        Args:
            classes: the number of classes of a timm model. Default: that of its weights.
        """
        with fresh_torch_state():
            return self._build(classes)

    def _build(self, classes: int | None) -> nn.Module:
        if self.kind == "run":
            model, _, recipe, info = load_classifier(self.folder)
            return InferenceModel(
                model, info.classes, info.size, recipe.data.resize, recipe.data.white_level
            )
        if self.kind == "onnx":
            return Onnx(Path(self.target), self.input_size)
        if self.kind == "timm":
            return from_timm(self.target, self.weights, classes, self.input_size).eval()
        network = from_function(self.target)
        if self.weights is not None:
            load_all(network, self.weights, f"the network of {self.target}")
        return network if self.input_size is None else Resized(network, self.input_size).eval()
