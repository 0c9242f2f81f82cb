"""A batch of training images with its labels and views."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gratis.data.checks import check_images, check_numbers
from gratis.errors import GratisError
from gratis.ranks import world_size


@dataclass(frozen=True, eq=False)
class Batch:
    """Images to train on, and the views made of them.

    Attributes:
        images: float (n, 3, height, width) in [0, 1].
        labels: int64 (n,).
        indices: int64 (n,), the positions of the images in the training set.
        views: (v*n, 3, height, width) in [0, 1]; row k*n + i is view k of image i.
        affines: the affine map that made each view, (v*n, 2, 3); ``None`` for views that show their
            image in place.
        number: the position of the batch in the training run; ``None`` outside a run.
        split_size: the number of images in the training set, where it is known.
        first: the position of the first image in the batch of all ranks (:mod:`gratis.ranks`).
        total: the number of images in the batch of all ranks; ``None`` if this is all of it.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    views: Tensor
    affines: Tensor | None = None
    number: int | None = None
    split_size: int | None = None
    first: int = 0
    total: int | None = None

    @classmethod
    def of(
        cls,
        images: Tensor,
        labels: Tensor,
        indices: Tensor | None = None,
        split_size: int | None = None,
    ) -> "Batch":
        """Return a batch whose views are its images, for your own training loop.

        Args:
            images: float (n, 3, height, width) in [0, 1], not normalised.
            labels: int64 (n,).
            indices: int64 (n,) on the device of the images, their positions in the training set.
                Only :class:`CachedFreeAT` needs it. Default: 0 to n - 1.
            split_size: the number of images in the training set, together with ``indices``.

        Raises:
            GratisError: a tensor has another type, shape or range, or only one of ``indices`` and
                ``split_size`` is given.
        """
        check_images(images)
        if not images.numel():
            raise GratisError(f"images: needs at least one, not shape {tuple(images.shape)}")
        check_numbers("labels", labels, len(images))
        if labels.amin() < 0:
            raise GratisError(f"labels: {int(labels.amin())} is no class; classes count from 0")
        if (indices is None) != (split_size is None):
            raise GratisError("indices and split_size: give both or neither")
        if indices is None:
            indices = torch.arange(len(images), device=images.device)
        check_numbers("indices", indices, len(images))
        return cls(images, labels, indices, images, split_size=split_size)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @property
    def all_images(self) -> int:
        """The number of images in the batch of all ranks."""
        return len(self) if self.total is None else self.total

    @property
    def rank_weight(self) -> float:
        """This rank's number of images, in multiples of the mean over the ranks."""
        return len(self) * world_size() / self.all_images

    def rows_of_rank(self, rows: Tensor) -> Tensor:
        """Return this rank's rows of a tensor (v*m, ...) for the batch of all ranks."""
        if self.total is None:
            return rows
        own = slice(self.first, self.first + len(self))
        by_view = rows.view(self.view_count, self.total, *rows.shape[1:])
        return by_view[:, own].flatten(0, 1)

    @property
    def view_count(self) -> int:
        """The number of views of each image."""
        return len(self.views) // len(self.images)

    @property
    def view_labels(self) -> Tensor:
        """The label of every view, (v*n,)."""
        return self.labels.repeat(self.view_count)

    def split(self, micro_batches: int) -> list["Batch"]:
        """Return micro-batches whose sizes differ by at most one image.

        There are ``micro_batches`` of them, or as many as images if that is fewer. The views of an
        image stay together.
        """
        if micro_batches == 1:
            return [self]
        bounds, views = self._bounds(micro_batches), self.split_views(self.views, micro_batches)
        affines = (
            [None] * len(bounds)
            if self.affines is None
            else self.split_views(self.affines, micro_batches)
        )
        return [
            replace(
                self,
                images=self.images[a:b],
                labels=self.labels[a:b],
                indices=self.indices[a:b],
                views=own_views,
                affines=own_affines,
            )
            for (a, b), own_views, own_affines in zip(bounds, views, affines, strict=True)
        ]

    def split_views(self, rows: Tensor, micro_batches: int) -> list[Tensor]:
        """Return the rows of each micro-batch, of a tensor (v*n, ...) with a row for each view.

        Gradients pass through.
        """
        if micro_batches == 1:
            return [rows]
        views, n = range(self.view_count), len(self)
        pieces = [
            [rows[k * n + a : k * n + b] for k in views] for a, b in self._bounds(micro_batches)
        ]
        # Concatenated, not reshaped: images keep their channels last in memory.
        return [piece[0] if len(piece) == 1 else torch.cat(piece) for piece in pieces]

    def in_micro_batches(
        self, micro_batches: int, function: Callable[..., Tensor], *rows: Tensor
    ) -> Tensor:
        """Return ``function(*rows, view_labels)``, computed for one micro-batch at a time.

        ``rows`` and the result have a row for each view, (v*n, ...).
        """
        if micro_batches == 1:
            return function(*rows, self.view_labels)
        own_rows = zip(*(self.split_views(tensor, micro_batches) for tensor in rows), strict=True)
        done = [
            function(*own, part.view_labels).chunk(self.view_count)
            for own, part in zip(own_rows, self.split(micro_batches), strict=True)
        ]
        return torch.cat([part[k] for k in range(self.view_count) for part in done])

    def _bounds(self, micro_batches: int) -> list[tuple[int, int]]:
        """Return the first image of every micro-batch and the one after its last."""
        n, micro_batches = len(self), min(micro_batches, len(self))
        return [
            (k * n // micro_batches, (k + 1) * n // micro_batches) for k in range(micro_batches)
        ]
