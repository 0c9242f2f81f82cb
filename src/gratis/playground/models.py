"""The models of the playground: each prepares an image file itself and classifies it."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from gratis.data import Preparation, to_float
from gratis.data.raw import BrokenImage
from gratis.errors import GratisError, file_error, printable
from gratis.evaluation.evaluated_model import device_of
from gratis.model import classify_with
from gratis.run import ModelSource
from gratis.run.prediction import preparation_of, to_best_device


@dataclass(frozen=True)
class PlaygroundModel:
    """A model that several visitors use at once: nothing in it changes.

    Attributes:
        name: what the page calls it.
        module: images (n, 3, size, size) in [0, 1] to logits, in evaluation mode.
        preparation: how image files are prepared, as in training.
        classes: the name of each class.
        folder: the folder of the run, where it is one.
    """

    name: str
    module: nn.Module
    preparation: Preparation
    classes: tuple[str, ...]
    folder: Path | None = None

    def read(self, file: Path) -> Tensor:
        """Return an image file as the model sees it: (1, 3, size, size) in [0, 1].

        Raises:
            GratisError: the file is no image.
        """
        try:
            pixels = self.preparation.read(file)
        except BrokenImage as error:
            raise GratisError(f"this is no readable image ({error.reason})") from None
        return to_float(torch.from_numpy(pixels.copy())[None], device_of(self.module))

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits (n, classes) of images; they have a gradient if the images do."""
        # A copy: some models change their images in place, or need them contiguous.
        return classify_with(self.module)(images.clone(memory_format=torch.contiguous_format))

    def probabilities(self, images: Tensor) -> Tensor:
        """Return the probability of each class, (n, classes), without a gradient."""
        with torch.no_grad():
            return self.logits(images).float().softmax(1)


def load_models(targets: list[str], size: int | None = None) -> list[PlaygroundModel]:
    """Return one or two models that have the same classes.

    Args:
        targets: what :class:`gratis.run.ModelSource` takes.
        size: height and width of image files in pixels, for a model that does not know.

    Raises:
        GratisError: a model cannot be loaded, has no gradients, or the classes differ.
    """
    if not 1 <= len(targets) <= 2:
        raise GratisError(f"play: shows one or two models, not {len(targets)}")
    models = [_load(target, size) for target in targets]
    if len({model.classes for model in models}) > 1:
        raise GratisError(f"{targets[1]}: has other classes than {targets[0]}")
    if len({model.name for model in models}) < len(models):
        models = [replace(m, name=target) for target, m in zip(targets, models, strict=True)]
    return models


def _load(target: str, size: int | None) -> PlaygroundModel:
    source = ModelSource(target)
    if source.kind == "onnx":
        raise file_error(Path(target), "has no gradients to attack", "name the run instead")
    module = to_best_device(source.build()).eval().requires_grad_(False)
    preparation = preparation_of(module, size)
    side = preparation.size
    with torch.no_grad():
        logits = classify_with(module)(torch.zeros(1, 3, side, side, device=device_of(module)))
    names = getattr(module, "classes", None) or tuple(map(str, range(logits.shape[1])))
    folder = source.folder if source.kind == "run" else None
    classes = tuple(printable(name) for name in names)
    return PlaygroundModel(source.name, module, preparation, classes, folder)
