"""The settings of a data set, and the readers of the data sources in this folder."""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from gratis.data.cache import cache_folder
from gratis.data.dataset import Dataset, refuse_few_classes
from gratis.data.images import Resize
from gratis.data.patterns import pattern_name
from gratis.data.store import remove_if_damaged
from gratis.errors import GratisError, file_error, printable
from gratis.settings import Fraction, Settings, absolute, did_you_mean


def _known(name: str) -> str:
    known = list(sources())
    if name not in known:
        raise ValueError(f"unknown data {name!r}{did_you_mean(name, known)}")
    return name


# The sources of a user's own image files.
OWN_IMAGES = ("folder", "csv", "hf", "wds")
_WRITTEN = {"folder": "folder:PATH", "csv": "csv:FILE", "hf": "hf:NAME", "wds": "wds:PATTERN"}
# The sources that have these settings.
_OWN_KEYS = {
    "class_names": OWN_IMAGES,
    "val_fraction": OWN_IMAGES,
    "columns": ("csv", "hf", "wds"),
    "hub": ("hf",),
    "config": ("hf",),
}


class DataSettings(Settings):
    """The settings of a data set.

    Attributes:
        name: the data source.
        root: the folder that holds the data, the list of a CSV file, or the pattern of shards;
            default: the cache, or a download.
        hub: the name of a data set on the Hugging Face hub, unless ``root`` holds it.
        config: which configuration of a data set on the hub that has several.
        classes: the number of classes, in the source's order; default: all.
        first_class: the number of the first class in use, from 0; default: 0.
        size: the height and width that every image is resized to, in pixels; default: the
            source's own size. In a recipe, that of a folder or list is ``model.input_size``.
        resize: how images that are not square become so: ``crop`` keeps the centre, ``pad`` adds
            black bars, ``squash`` changes the proportions.
        white_level: the value of white in greys of more than 8 bits; default: 65,535, or 1 or 255
            of floats, and images that do not fit it are an error.
        val_fraction: how many images of a folder or list without a split are held out for
            validation; 1 puts all of them into both splits, to evaluate on all.
        class_names: a file with the class folders in the order of the labels, one per line or as
            JSON; default: their natural order.
        columns: the names of the columns of images and of labels, in shards the endings of their
            members; default: those with usual names, such as file and label.
        skip_broken: whether to leave out images that cannot be read; default: they are an error.
    """

    name: Annotated[str, AfterValidator(_known)]
    root: Annotated[Path, AfterValidator(absolute)] | None = None
    hub: Annotated[str, Field(min_length=1)] | None = None
    config: Annotated[str, Field(min_length=1)] | None = None
    classes: Annotated[int, Field(ge=2)] | None = None
    first_class: Annotated[int, Field(ge=0)] | None = None
    size: Annotated[int, Field(ge=4)] | None = None
    resize: Resize = "crop"
    white_level: Annotated[float, Field(gt=0)] | None = None
    val_fraction: Annotated[Fraction, Field(gt=0, le=1)] = 0.1
    class_names: Annotated[Path, AfterValidator(absolute)] | None = None
    columns: tuple[str, str] | None = None
    skip_broken: bool = False

    @model_validator(mode="after")
    def _keys_of_folders(self) -> Self:
        """Refuse settings that other sources would ignore."""
        for key, names in _OWN_KEYS.items():
            if (
                self.name not in names
                and getattr(self, key) != type(self).model_fields[key].default
            ):
                applies = ", ".join(_WRITTEN[name] for name in names)
                raise ValueError(f"{key} applies to {applies} only")
        return self

    def refuse_fraction(self, root: Path, split: str) -> None:
        """Refuse a ``val_fraction`` of data that has a split of its own.

        Raises:
            GratisError: it is not the default.
        """
        if self.val_fraction != type(self).model_fields["val_fraction"].default:
            problem = f"has a split of its own ({split})"
            raise file_error(root, problem, "leave out data.val_fraction (--val-fraction)")

    @property
    def label(self) -> str:
        """A short name of the data: that of the user's own images, or the source's."""
        if self.name == "wds" and self.root is not None:
            return pattern_name(self.root)
        if self.name in OWN_IMAGES and self.root is not None:
            return self.root.name.removesuffix(".csv")
        return self.name if self.hub is None else self.hub.rpartition("/")[2]

    @property
    def is_gone(self) -> bool:
        """Whether the folder or file of the data does not exist."""
        return self.name != "wds" and self.root is not None and not self.root.exists()


Reader: TypeAlias = Callable[[DataSettings], Dataset]


def sources() -> dict[str, Reader]:
    """Return the reader of every data source: the ``SOURCES`` of the modules in this folder."""
    found: dict[str, Reader] = {}
    package = importlib.import_module("gratis.data")
    for module in pkgutil.iter_modules(package.__path__):
        content = importlib.import_module(f"gratis.data.{module.name}")
        found |= getattr(content, "SOURCES", {})
    return found


def load(settings: DataSettings, check: bool = False) -> Dataset:
    """Return a data set; its images are decoded on the first call and memory-mapped afterwards.

    Args:
        settings: which data set.
        check: whether to verify decoded images of more than 4 GiB too. Damaged ones are decoded
            again.

    Raises:
        GratisError: the data is missing, incomplete, broken or unreadable, has fewer than two
            classes, or a split has no images; or the cache cannot be written.
    """
    try:
        read = sources()[settings.name]
        dataset = read(settings)
        return read(settings) if check and remove_if_damaged(dataset) else dataset
    except OSError as error:
        path = Path(error.filename or settings.root or cache_folder())
        problem = f"cannot be read ({error.strerror or error})"
        raise file_error(path, problem, "make it readable, or use a copy that is") from error


def from_argument(text: str) -> dict[str, str]:
    """Return the settings for ``NAME`` or ``NAME:PATH``, as given on the command line.

    ``folder:~/pets`` gives ``{"name": "folder", "root": ...}``, with an absolute path, and
    ``hf:USER/NAME`` gives ``{"name": "hf", "hub": ...}`` unless there is such a folder.

    Raises:
        GratisError: there is a colon but no path after it.
    """
    name, colon, path = text.partition(":")
    if not colon:
        if name not in sources() and Path(name).expanduser().is_dir():
            raise GratisError(f"{printable(text)}: is a folder; write folder:{printable(text)}")
        if name not in sources() and name.lower().endswith(".csv"):
            raise GratisError(f"{printable(text)}: is a list; write csv:{printable(text)}")
        return {"name": name}
    if not path:
        raise GratisError(f"{text!r} lacks a path; write {_WRITTEN.get(name, f'{name}:PATH')}")
    if name == "wds" and "://" in path:
        raise GratisError(f"{printable(path)}: is no local file; download the shards first")
    if name == "hf" and not (path.startswith(("/", ".", "~")) or Path(path).is_dir()):
        return {"name": name, "hub": path}
    return {"name": name, "root": str(absolute(Path(path)))}


def first_classes(available: Sequence[str], settings: DataSettings) -> tuple[str, ...]:
    """Return ``settings.classes`` of the available classes from ``first_class`` on, or all.

    Raises:
        GratisError: there are fewer than asked for, or fewer than two.
    """
    refuse_few_classes(settings.root or settings.name, len(available))
    first = settings.first_class or 0
    left = available[first:]
    if len(left) < (settings.classes or 2):
        begin = f" from number {first} on" if first else ""
        raise GratisError(
            f"{settings.name} has {len(left)} classes{begin}, not {settings.classes or 2}; "
            f"lower data.{'first_class' if first else 'classes'}"
        )
    return tuple(left[: settings.classes])
