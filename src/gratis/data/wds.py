"""Shards of webdataset: tar archives of images with their classes."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gratis.data.dataset import Dataset
from gratis.data.image_files import describe_left_out
from gratis.data.listing import Chosen, Listing, choose_splits, describe_splits, divide
from gratis.data.own_images import decode_own
from gratis.data.patterns import by_split, find_shards
from gratis.data.raw import EncodedImage, stamp
from gratis.data.shard_index import index_once
from gratis.data.source import DataSettings
from gratis.errors import GratisError, file_error
from gratis.progress import track
from gratis.regular_files import open_regular


def read(settings: DataSettings) -> Dataset:
    """Return the images of the shards that the pattern ``settings.root`` means.

    A word such as ``train`` or ``val`` in the names of the shards is their split; without one for
    validation, images are held out as those of folders are. The order is that of class folders.
    """
    if settings.root is None:
        raise GratisError("the data source wds needs shards; write --data wds:PATTERN")
    pattern, left_out = settings.root, Counter[str]()
    splits = by_split(pattern, find_shards(pattern))
    chosen = choose_splits(pattern, list(splits))
    train, validation = (
        None if split is None else _Shards(pattern, splits[split], settings.columns, left_out)
        for split in chosen
    )
    assert train is not None
    beside = None if validation is None else validation.listing
    classes, *images = divide(settings, train.listing, beside, None)
    parts = _Part(train, images[0]), _Part(validation or train, images[1])
    unread = [f"the shards of {split}" for split in splits if split not in chosen]
    unread += [describe_left_out(left_out)] if left_out else []
    details = {
        "split": describe_splits(chosen, settings.val_fraction),
        "not read": "; ".join(unread),
    }
    return decode_own(settings, pattern, classes, parts, details, warn=False)


class _Shards:
    """The images of a split: where they are, and what they show."""

    def __init__(
        self,
        pattern: Path,
        shards: Sequence[Path],
        columns: tuple[str, str] | None,
        left_out: Counter[str],
    ) -> None:
        self._shards, self.files = shards, [stamp(path) for path in shards]
        self._names: list[str] = []
        classes: list[str] = []
        # One text for each class, and not for each image.
        same: dict[str, str] = {}
        places: list[tuple[int, int, int]] = []
        for number, shard in enumerate(track(shards, "Listing shards")):
            for name, class_name, offset, size in index_once(shard, columns, left_out):
                self._names.append(name)
                classes.append(same.setdefault(class_name, class_name))
                places.append((number, offset, size))
        if not places:
            raise file_error(pattern, "holds no images")
        self._places = np.asarray(places, dtype=np.int64)
        self.listing = Listing(pattern, classes, self._names)

    def image(self, place: int) -> EncodedImage:
        """Return an image by its position in the listing."""
        number, offset, size = map(int, self._places[place])
        with open_regular(self._shards[number]) as stream:
            stream.seek(offset)
            content = stream.read(size)
        return EncodedImage(Path(f"{self._shards[number]}/{self._names[place]}"), content)


class _Part:
    """The images of a split that are in use; a :class:`gratis.data.own_images.Part`."""

    def __init__(self, shards: _Shards, chosen: Chosen) -> None:
        self._shards, self._places = shards, chosen.places
        self.labels, self.files = chosen.labels.tolist(), shards.files

    def image(self, index: int) -> EncodedImage:
        return self._shards.image(int(self._places[index]))


SOURCES = {"wds": read}
