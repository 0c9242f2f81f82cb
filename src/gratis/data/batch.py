"""One batch: images with labels, their places in the data, and the views made of them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Batch:
    """Images to train on, and the augmented views made of them.

    ``images`` is float32 (n, 3, height, width) in [0, 1], channels last; ``labels`` and
    ``indices`` (positions in the training split) are int64 (n,). ``views`` is (v*n, 3, height,
    width), view-major: view k of image i is row k*n+i; it starts as the images themselves.
    ``maps`` is (v*n, 2, 3), the affine map that made each view, or none. ``number`` counts the
    batches of a run, where there is one. ``split_size`` is the number of images in the training
    split, where that is known. ``parts`` says in how many parts the batch goes through a model,
    where memory does not do for all of it at once.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    views: Tensor = field(default_factory=lambda: torch.empty(0))
    maps: Tensor | None = None
    number: int | None = None
    split_size: int | None = None
    parts: int = 1

    def __post_init__(self) -> None:
        """Let the views be the images where none are given."""
        if self.views.numel() == 0:
            self.views = self.images

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    @property
    def view_count(self) -> int:
        """Return how many views there are of each image."""
        return len(self.views) // len(self.images)

    @property
    def view_labels(self) -> Tensor:
        """Return the label of every view, (v*n,)."""
        return self.labels.repeat(self.view_count)

    def split(self) -> list["Batch"]:
        """Return its parts, as batches: sizes differ by at most one image, views stay together.

        There are no more of them than images; one part is the batch itself.
        """
        if self.parts == 1:
            return [self]
        maps = [None] * len(self._bounds) if self.maps is None else self.split_views(self.maps)
        return [
            Batch(
                self.images[a:b],
                self.labels[a:b],
                self.indices[a:b],
                views,
                own,
                self.number,
                self.split_size,
            )
            for (a, b), views, own in zip(
                self._bounds, self.split_views(self.views), maps, strict=True
            )
        ]

    def split_views(self, rows: Tensor) -> list[Tensor]:
        """Return rows (v*n, ...) that belong to the views, by part; gradients pass through."""
        if self.parts == 1:
            return [rows]
        views, n = range(self.view_count), len(self)
        pieces = [[rows[k * n + a : k * n + b] for k in views] for a, b in self._bounds]
        # Joined, and not reshaped, so that images keep their channels last in memory.
        return [piece[0] if len(piece) == 1 else torch.cat(piece) for piece in pieces]

    def by_part(self, function: Callable[..., Tensor], *rows: Tensor) -> Tensor:
        """Return ``function(*rows, view_labels)`` of rows that belong to the views, by part.

        What it returns, a row for each row, is put together in the order of the views.
        """
        if self.parts == 1:
            return function(*rows, self.view_labels)
        own = zip(*map(self.split_views, rows), strict=True)
        done = [
            function(*each, part.view_labels).chunk(self.view_count)
            for each, part in zip(own, self.split(), strict=True)
        ]
        return torch.cat([part[k] for k in range(self.view_count) for part in done])

    @property
    def _bounds(self) -> list[tuple[int, int]]:
        """The first image of every part, and the one after its last."""
        n, parts = len(self), min(self.parts, len(self))
        return [(k * n // parts, (k + 1) * n // parts) for k in range(parts)]

    @classmethod
    def of(
        cls,
        images: Tensor,
        labels: Tensor,
        indices: Tensor | None = None,
        split_size: int | None = None,
    ) -> "Batch":
        """Return a batch for a training loop of one's own.

        ``images`` is float (n, 3, height, width) in [0, 1], not normalised; ``labels`` is int64
        (n,). An adversary that remembers every image also needs ``indices``, int64 (n,), the
        positions of the images among the ``split_size`` to train on, on the images' device.
        Without them the indices are 0 to n-1.

        Raises:
            ValueError: the images are not floats of that shape, the labels or indices are not as
                many, or indices come without ``split_size`` or the other way round.
        """
        if images.dim() != 4 or not images.is_floating_point() or len(images) != len(labels):
            raise ValueError(
                "needs float images of shape (n, 3, height, width) and n labels, not "
                f"{images.dtype} {tuple(images.shape)} and {tuple(labels.shape)}"
            )
        if indices is None and split_size is None:
            return cls(images, labels, torch.arange(len(labels), device=labels.device))
        if indices is None or split_size is None or indices.shape != labels.shape:
            raise ValueError("needs n indices together with the split_size that they count in")
        return cls(images, labels, indices, split_size=split_size)
