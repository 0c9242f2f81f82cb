"""Where a model comes from: a run, timm with weights, an ONNX file, or a function."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import nn

from gratis.errors import GratisError
from gratis.evaluation.suites import Suite
from gratis.model import InferenceModel, Onnx, from_function, from_timm
from gratis.run.loading import load_classifier
from gratis.torch_state import isolated

Kind = Literal["run", "timm", "onnx", "function"]

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from.

    Attributes:
        target: the folder of a run, the name of a timm model, an ONNX file, or
            ``package.module:function``.
        weights: the local weights of a timm model.
        input_size: height and width in pixels that a timm model sees. Default: the data's.
    """

    target: str
    weights: Path | None = None
    input_size: int | None = None

    def __post_init__(self) -> None:
        """Refuse a size that does not apply.

        Raises:
            GratisError: ``input_size`` is given for another model than timm's.
        """
        if self.input_size is not None and self.kind != "timm":
            problem = "the input size applies to timm models only"
            raise GratisError(f"{self.target}: {problem}; leave out --input-size")

    @property
    def kind(self) -> Kind:
        """What ``target`` is; ``weights`` make it a timm model."""
        if self.weights is not None:
            return "timm"
        if self.target.endswith(".onnx"):
            return "onnx"
        return "function" if _FUNCTION.fullmatch(self.target) else "run"

    @property
    def name(self) -> str:
        """The name of the model, which is also the name of a folder."""
        stem = Path(self.target).stem if self.kind == "onnx" else self.target
        return re.sub(r"[^\w.-]+", "-", stem)

    @property
    def suite(self) -> Suite:
        """The default suite: ONNX files have no gradients."""
        return "transfer" if self.kind == "onnx" else "table"

    def build(self, classes: int | None = None) -> nn.Module:
        """Return the model: images in [0, 1] to logits, in evaluation mode.

        Args:
            classes: the number of classes of a timm model; the others know theirs.

        Raises:
            GratisError: it cannot be loaded; the message names the file and the remedy.
        """
        with isolated():
            return self._build(classes)

    def _build(self, classes: int | None) -> nn.Module:
        if self.kind == "run":
            model, _, recipe, info = load_classifier(Path(self.target))
            return InferenceModel(
                model, info.classes, info.size, recipe.data.resize, recipe.data.white
            )
        if self.kind == "onnx":
            return Onnx(Path(self.target))
        if self.kind == "function":
            return from_function(self.target)
        if classes is None:
            raise GratisError(f"{self.target}: say how many classes the weights are for: classes=N")
        assert self.weights is not None
        return from_timm(self.target, self.weights, classes, self.input_size).eval()
