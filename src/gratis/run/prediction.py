"""Classify images, and show what an attack makes of them."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gratis.attacks import AttackSettings, attack, frozen
from gratis.data import Preparation, to_float
from gratis.data.bit_depth import UnknownWhiteLevel
from gratis.data.image_files import describe_left_out, require_images
from gratis.data.raw import BrokenImage
from gratis.errors import GratisError, file_error, printable
from gratis.evaluation.contiguous import ContiguousInputs
from gratis.evaluation.evaluated_model import device_of
from gratis.model import classify_with
from gratis.run.launch import own_device
from gratis.torch_state import full_precision

logger = logging.getLogger(__name__)

_BATCH = 64
_WHITE = (
    "say which value is white with --white-level, such as 4095 for 12 "
    "bits or 65535 for dark images of 16 bits; or convert it to 8 bits"
)
_CONVERT = "restore it, convert it to JPEG or PNG, or leave it out"


class Prediction(NamedTuple):
    """The prediction for one image.

    Attributes:
        name: the most probable class.
        confidence: its probability, in [0, 1].
        top: the most probable classes with their probabilities, the first one included.
        path: the image file; ``None`` for a tensor.
        attacked: the prediction for what an attack makes of the image; ``None`` without an attack.
    """

    name: str
    confidence: float
    top: tuple[tuple[str, float], ...]
    path: Path | None = None
    attacked: "Prediction | None" = None


@dataclass(frozen=True)
class Predictor:
    """A classifier that names classes.

    Attributes:
        module: maps images in [0, 1] to logits. It is left as it was.
        top: how many classes to return for each image.
        attack: attacks each image, away from the class that the model predicts for it.
    """

    module: nn.Module
    top: int = 5
    attack: AttackSettings | None = None

    def predict(self, images: Tensor, first: int = 0) -> list[Prediction]:
        """Return the predictions for images on the module's device.

        Args:
            images: float (n, 3, height, width) in [0, 1].
            first: the number of the first image, which determines the attack's random start.
        """
        numbers = torch.arange(first, first + len(images), device="cpu")
        with frozen(self.module), full_precision(images.device):
            found: list[Prediction] = []
            for part, own in zip(images.split(_BATCH), numbers.split(_BATCH), strict=True):
                found += self._predict(part, own)
            return found

    def predict_files(
        self, files: Sequence[Path], preparation: Preparation
    ) -> Iterator[Prediction | GratisError]:
        """Yield the prediction for every image file, or the error of a broken one."""
        for start in range(0, len(files), _BATCH):
            part = files[start : start + _BATCH]
            read = [_read(file, preparation) for file in part]
            good = [pixels for pixels in read if isinstance(pixels, Tensor)]
            images = to_float(torch.stack(good), device_of(self.module)) if good else None
            found = iter(self.predict(images, start) if images is not None else ())
            for file, pixels in zip(part, read, strict=True):
                if isinstance(pixels, GratisError):
                    yield pixels
                else:
                    yield next(found)._replace(path=file)

    def _predict(self, images: Tensor, numbers: Tensor) -> list[Prediction]:
        probabilities = self._probabilities(images)
        found = [self._prediction(row) for row in probabilities.cpu()]
        if self.attack is None:
            return found
        predicted = probabilities.argmax(1)
        changed = attack(self._classify, images, predicted, self.attack, 0, numbers)
        after = [self._prediction(row) for row in self._probabilities(changed).cpu()]
        return [p._replace(attacked=a) for p, a in zip(found, after, strict=True)]

    def _probabilities(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return self._classify(images).float().softmax(1)

    def _classify(self, images: Tensor) -> Tensor:
        """Return the logits of images that stay as they are, whatever the model does to its own."""
        return classify_with(ContiguousInputs(self.module))(images)

    def _prediction(self, probabilities: Tensor) -> Prediction:
        names: Sequence[str] | None = getattr(self.module, "classes", None)
        values, places = probabilities.topk(min(self.top, len(probabilities)))
        named = tuple(
            (names[place] if names else str(place), value)
            for place, value in zip(places.tolist(), values.tolist(), strict=True)
        )
        return Prediction(*named[0], named)


def preparation_of(
    module: nn.Module, size: int | None = None, white_level: float | None = None
) -> Preparation:
    """Return how image files are prepared for a model: as in its training.

    ``size`` is the height and width for a model that does not know its own, ``white_level`` the
    value of white in greys of more than 8 bits, by default as in training.
    """
    known: int | None = getattr(module, "image_size", None)
    if known is not None and size is not None:
        raise GratisError(f"size: the model has its own, {known} pixels; leave it out")
    if (side := known or size) is None:
        raise GratisError(
            "size: the model does not say how large its images are; give their height and width "
            "in pixels with --size"
        )
    own = getattr(module, "white_level", None)
    return Preparation(
        side, getattr(module, "resize", "crop"), own if white_level is None else white_level
    )


def to_best_device(module: nn.Module) -> nn.Module:
    """Return the module after moving it to the GPU, if there is one."""
    return module.to(own_device())


def image_files(path: Path) -> list[Path]:
    """Return the image files that a path names: itself, or all in a folder and below.

    The other files of a folder are logged by kind.
    """
    if not path.is_dir():
        return [path]
    try:
        found = require_images(path, "name a folder of image files")
    except OSError as error:
        raise file_error(path, f"cannot be read ({error.strerror or error})") from error
    if found.left_out:
        logger.warning(printable(f"{path}: not read: {describe_left_out(found.left_out)}"))
    return [Path(file) for file, _, _ in found.files]


def _read(path: Path, preparation: Preparation) -> Tensor | GratisError:
    """Return an image file as uint8 (size, size, 3), or why it cannot be read."""
    try:
        return torch.from_numpy(preparation.read(path).copy())
    except BrokenImage as error:
        unknown = isinstance(error.__cause__, UnknownWhiteLevel)
        problem = f"is not a readable image ({error.reason})"
        return file_error(path, problem, _WHITE if unknown else _CONVERT)
