"""Adversarial examples as a file, which anyone can score again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import nn

from gratis.data.batches import to_float
from gratis.data.dataset import Split
from gratis.errors import file_error
from gratis.evaluate.subject import Subject
from gratis.files import replacing
from gratis.perturb import BALLS, frozen

_REMEDY = "evaluate again with evaluate.examples=uint8"
_OTHER = "evaluate the run that the examples were made for"


@dataclass(frozen=True)
class Examples:
    """One image for each that was asked about: what fooled the model, or the image as it was.

    ``images`` is float32 (n, 3, height, width) in [0, 1] or uint8 (n, height, width, 3); the
    share of it that a model gets right is its robust accuracy. ``index`` (n,) is each image's
    place in the validation split, ``labels`` (n,) its class, ``epsilon`` the L-infinity budget.
    """

    images: NDArray[np.float32] | NDArray[np.uint8]
    index: NDArray[np.int64]
    labels: NDArray[np.int64]
    epsilon: float

    @classmethod
    def of(
        cls,
        subject: Subject,
        index: NDArray[np.int64],
        found: dict[int, NDArray[np.float32] | NDArray[np.uint8]],
        epsilon: float,
    ) -> Self:
        """Return the images at ``index``, those in ``found`` replaced by what fooled the model."""
        split = subject.split
        images: NDArray[Any] = np.array(split.images[index])
        if subject.kept == "float32":
            images = np.ascontiguousarray(to_float(images, "cpu").numpy())
        for row, place in enumerate(index.tolist()):
            if place in found:
                images[row] = found[place]
        return cls(images, index, split.labels[index], epsilon)

    def save(self, path: Path) -> None:
        """Write one safetensors file, all or nothing.

        Raises:
            GratisError: the file cannot be written.
        """
        arrays = {"images": self.images, "index": self.index, "labels": self.labels}
        # As bytes: the library's own writing reports a full disk as damage.
        with replacing(path) as temporary:
            temporary.write_bytes(save(arrays, metadata={"epsilon": repr(self.epsilon)}))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            GratisError: the file is missing or holds something else.
        """
        try:
            with safe_open(path, "numpy") as file:
                images, index, labels = map(file.get_tensor, ("images", "index", "labels"))
                epsilon = float(file.metadata()["epsilon"])
        except FileNotFoundError as error:
            raise file_error(path, "does not exist", _REMEDY) from error
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise file_error(path, f"holds no adversarial examples ({error})", _REMEDY) from error
        examples = cls(images, index, labels, epsilon)
        if not examples._consistent():
            raise file_error(path, "holds no adversarial examples", _REMEDY)
        return examples

    def _consistent(self) -> bool:
        n = len(self.index)
        return (
            n > 0
            and self.images.dtype in (np.float32, np.uint8)
            and self.images.ndim == 4
            and self.index.shape == self.labels.shape == self.images.shape[:1]
            and self.index.dtype == self.labels.dtype == np.int64
            and 0 <= self.epsilon <= 1
        )


def rescore(
    model: nn.Module, split: Split, examples: Examples, path: Path, batch_size: int
) -> NDArray[np.bool_]:
    """Return, for each example, whether the model gets it right, in plain float32.

    Args:
        model: as for :func:`gratis.evaluate.measure`.
        split: the validation split that they were made from.
        examples: what was loaded from ``path``.
        path: for messages.
        batch_size: images at a time.

    Raises:
        GratisError: they were made from other images, or one has left its budget or [0, 1].
    """
    n, shape = len(split), split.images.shape[1:]
    whole = examples.images.dtype == np.uint8
    expected = shape if whole else (shape[2], *shape[:2])
    index = examples.index
    if (
        examples.images.shape[1:] != expected
        or not ((index >= 0) & (index < n)).all()
        or (split.labels[index] != examples.labels).any()
    ):
        raise file_error(path, "was made from another validation split", _OTHER)
    subject = Subject(model, split, {}, seed=0)
    right = np.empty(len(index), dtype=np.bool_)
    with frozen(model):
        for start in range(0, len(index), batch_size):
            rows = slice(start, start + batch_size)
            portion = subject.portion(index[rows])
            images = _floats(examples.images[rows], subject.device)
            inside = BALLS["linf"].holds(images - portion.images, examples.epsilon)
            allowed = inside & ((images >= 0) & (images <= 1)).flatten(1).all(1)
            if not allowed.all():
                first = int(index[rows][int((~allowed).nonzero()[0])])
                problem = f"the example of image {first} is outside epsilon or [0, 1]"
                raise file_error(path, problem, _OTHER)
            right[rows] = subject.right(images, portion.labels).cpu().numpy()
    return right


def _floats(images: NDArray[Any], device: torch.device) -> torch.Tensor:
    if images.dtype == np.uint8:
        return to_float(images, device)
    return torch.from_numpy(np.ascontiguousarray(images)).to(
        device, memory_format=torch.channels_last
    )
