"""The sequence of training batches, each a function of the seed and its number alone."""

from collections.abc import Iterator
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gratis import ranks
from gratis.data.batch import Batch
from gratis.data.dataset import Split
from gratis.data.sharded_images import Images, images_at
from gratis.errors import GratisError
from gratis.seeds import generator

Indices: TypeAlias = NDArray[np.int64]


class MakeViews(Protocol):
    """Makes views."""

    def __call__(
        self, images: Tensor, generator: torch.Generator, /, *, first: int, total: int
    ) -> tuple[Tensor, Tensor | None]:
        """Return the views of images (n, 3, height, width) and their affine maps, as in Batch.

        ``first`` is the position of the first image in the batch of all ranks, and ``total`` the
        number of images there: their draws are those of that batch.
        """


# Images copied to the GPU at once when a whole split moves there.
_CHUNK = 4096


def to_float(pixels: Tensor | Images, device: torch.device | str) -> Tensor:
    """Return uint8 images (n, height, width, 3) as float32 (n, 3, height, width) in [0, 1].

    The result is on ``device``, in channels last memory format. ``pixels`` do not change.
    """
    if isinstance(pixels, Tensor):
        tensor = pixels
    else:
        pixels = np.asarray(pixels)
        # Torch warns about memory that it cannot write to, such as a memory-mapped file.
        tensor = torch.from_numpy(pixels if pixels.flags.writeable else np.array(pixels))
    if torch.device(device).type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    moved = tensor.to(device, non_blocking=True)
    return moved.permute(0, 3, 1, 2).to(torch.float32).div_(255)


class Batches:
    """Endless shuffled batches of a split; ``len()`` of them make one traversal of the data.

    ``batches[k]`` is batch k since the beginning of training, for any k >= 0. It depends on the
    seed and k alone, so that a run resumes from a number. Sizes within a traversal differ by at
    most one. Where several ranks train, each gets its rows of that very batch.
    """

    def __init__(
        self,
        split: Split,
        indices: Indices,
        batch_size: int,
        seed: int,
        device: torch.device | str,
        make_views: MakeViews | None = None,
    ) -> None:
        """Prepare to draw batches.

        Args:
            split: the training set.
            indices: the positions in it to draw from.
            batch_size: the most images in a batch. With 2 and an odd number of images one batch
                has three, because a batch of one breaks batch normalisation.
            seed: determines the order and the views.
            device: the device of the batches.
            make_views: makes the views of each batch. Default: the images themselves.

        Raises:
            ValueError: there are no images, or ``batch_size`` is below 2.
            GratisError: there are more ranks than images in a batch.
        """
        if batch_size < 2 or len(indices) == 0:
            raise ValueError(f"needs batches of at least 2, not {batch_size}, and some images")
        self._split, self._indices, self._seed = split, indices, seed
        self._device, self._make_views = torch.device(device), make_views
        self._count = max(1, min(-(-len(indices) // batch_size), len(indices) // 2))
        if len(indices) // self._count < ranks.world_size():
            raise GratisError(
                f"train.batch_size: batches of {len(indices) // self._count} images cannot be cut "
                f"for {ranks.world_size()} devices; increase it, or use fewer devices"
            )
        self._order = (-1, np.empty(0, dtype=np.int64))
        self._resident = self._on_device() if self._fits_device() else None

    def __len__(self) -> int:
        """Return the number of batches in one traversal."""
        return self._count

    @property
    def image_count(self) -> int:
        """Return the number of images in one traversal."""
        return len(self._indices)

    @property
    def largest(self) -> int:
        """Return the number of images in the largest batch, over all ranks."""
        return -(-len(self._indices) // self._count)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of the first traversal."""
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Batch:
        """Return batch ``number`` of training.

        Raises:
            IndexError: ``number`` is negative.
        """
        if number < 0:
            raise IndexError(f"batches count from 0, not {number}")
        every = self._rows(number)
        own = ranks.rows(self.largest, len(every))
        rows = every[own]
        positions = self._indices[rows]
        images = to_float(self._pixels(rows), self._device)
        views, affines = images, None
        if self._make_views is not None:
            source = generator(images.device, self._seed, "augment", number)
            views, affines = self._make_views(images, source, first=own.start, total=len(every))
        return Batch(
            images,
            self._moved(self._split.labels[positions]),
            self._moved(positions),
            views,
            affines,
            number,
            len(self._split),
            own.start,
            len(every) if ranks.world_size() > 1 else None,
        )

    def _rows(self, number: int) -> Indices:
        """Return the rows of ``indices`` that make up batch ``number``."""
        traversal, place = divmod(number, self._count)
        if self._order[0] != traversal:
            random = generator("cpu", self._seed, "order", traversal)
            order = torch.randperm(len(self._indices), generator=random, device="cpu").numpy()
            self._order = (traversal, order)
        total = len(self._indices)
        return self._order[1][place * total // self._count : (place + 1) * total // self._count]

    def _pixels(self, rows: Indices) -> Tensor | NDArray[np.uint8]:
        if self._resident is not None:
            return self._resident[self._moved(rows)]
        return images_at(self._split.images, self._indices[rows])

    def _moved(self, numbers: Indices) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(numbers))
        return tensor.to(self._device, non_blocking=True)

    def _fits_device(self) -> bool:
        """Return whether the images take less than half of a GPU's free memory."""
        if self._device.type != "cuda":
            return False
        image_bytes = int(np.prod(self._split.images.shape[1:]))
        free, _ = torch.cuda.mem_get_info(self._device)
        return len(self._indices) * image_bytes < free / 2

    def _on_device(self) -> Tensor:
        images, total = self._split.images, len(self._indices)
        resident = torch.empty((total, *images.shape[1:]), dtype=torch.uint8, device=self._device)
        for start in range(0, total, _CHUNK):
            chunk = images[self._indices[start : start + _CHUNK]]
            resident[start : start + _CHUNK] = torch.from_numpy(chunk)
        return resident
