"""Data sets of the Hugging Face hub, or in its formats in a local folder.

The ``datasets`` library reads their tables. It decodes no image, so that images are decoded and
checked as those of a folder are, and no code of a data set is run.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gratis.data.dataset import Dataset, few
from gratis.data.hf_columns import Columns, class_names, class_of_each, find_columns, image_names
from gratis.data.hf_library import load_splits, prepared_column
from gratis.data.image_files import stamp_image
from gratis.data.listing import Chosen, Listing, choose_splits, describe_splits, divide
from gratis.data.own_images import decode_own
from gratis.data.raw import EncodedImage, ImageSource, Stamp, stamp
from gratis.data.source import DataSettings
from gratis.errors import GratisError, file_error, printable


def read(settings: DataSettings) -> Dataset:
    """Return the data set ``settings.root``, a local folder, or ``settings.hub``.

    The column of images is the only one, or the first of ``settings.columns``; labels are in one
    with a usual name, or the second. Splits have the names of folders' splits; without one for
    validation, images are held out as those of folders are. The order is that of class folders.
    """
    if settings.root is None and settings.hub is None:
        raise GratisError("the data source hf needs a data set; write --data hf:NAME")
    name = str(settings.root or settings.hub)
    where = settings.root or Path(f"hf:{settings.hub}")
    splits = load_splits(where, name, settings.config)
    chosen = choose_splits(where, list(splits))
    columns = find_columns(where, splits[chosen[0]], settings.columns)
    train, validation = (
        None if split is None else _Rows(where, split, splits[split], columns) for split in chosen
    )
    assert train is not None
    known = class_names(train.table, columns.label)
    beside = None if validation is None else validation.listing
    classes, *images = divide(settings, train.listing, beside, known)
    parts = _Part(train, images[0]), _Part(validation or train, images[1])
    unread = [printable(split) for split in splits if split not in chosen]
    details = {
        "split": describe_splits(chosen, settings.val_fraction),
        "not read": f"the splits {few(unread)}" if unread else "",
    }
    return decode_own(settings, where, classes, parts, details, warn=False)


@dataclass(frozen=True)
class _Rows:
    """A split of a data set: a ``datasets.Dataset``, and which of its columns are in use."""

    where: Path
    split: str
    table: Any
    columns: Columns

    @cached_property
    def listing(self) -> Listing:
        """The class and the name of every image."""
        classes = class_of_each(self.where, self.table, self.columns.label)
        return Listing(self.where, classes, image_names(self._images, self.columns.image))

    @cached_property
    def _images(self) -> Any:
        return prepared_column(self.where, self.table, self.columns.image)

    def image(self, row: int) -> ImageSource:
        """Return the image of a row."""
        cell = self._images[row].column(0)[0].as_py() or {}
        named = Path(f"{self.where}/{self.split}, row {row}")
        if cell.get("bytes") is not None or not cell.get("path"):
            return EncodedImage(named, cell.get("bytes") or b"")
        if not Path(cell["path"]).is_absolute():
            problem = f"is in another place, {printable(cell['path'])}"
            raise file_error(named, problem, "use a data set that holds its images")
        return Path(cell["path"])

    def files(self) -> list[Stamp]:
        """Return the files of the table, and those of its images that it only names."""
        tables = [Path(file["filename"]) for file in self.table.cache_files]
        own = [stamp_image(name) for name in self.listing.names if name.startswith("/")]
        return [*map(stamp, tables), *own]


class _Part:
    """The images of a split that are in use; a :class:`gratis.data.own_images.Part`."""

    def __init__(self, rows: _Rows, chosen: Chosen) -> None:
        self._rows, self._places = rows, chosen.places
        self.labels = chosen.labels.tolist()
        self.files = rows.files()

    def image(self, index: int) -> ImageSource:
        return self._rows.image(int(self._places[index]))


SOURCES = {"hf": read}
