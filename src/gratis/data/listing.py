"""Images of a data set that are not in class folders: brought into the order of class folders.

A class folder's images are sorted by class and name, and a hash of both decides which are held out
for validation. The same images in archives or tables so make the same splits, in the same order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gratis.data.class_order import natural_order, order_classes, read_class_names
from gratis.data.dataset import few
from gratis.data.layout import TEST, TRAIN, VALIDATION, describe_held_out, held_out_names
from gratis.data.source import DataSettings, first_classes
from gratis.errors import file_error, printable

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Listing:
    """The images of a split as their source lists them.

    Attributes:
        where: the source, for messages.
        classes: the class of every image.
        names: the name of every image, as a path that may lead through a folder of its class.
    """

    where: Path
    classes: Sequence[str]
    names: Sequence[str]

    def named(self, names: Path | None) -> "Listing":
        """Return the listing with numbers of classes replaced by their names in a file."""
        if names is None or not all(map(str.isdecimal, set(self.classes))):
            return self
        listed = read_class_names(names)
        if set(self.classes) <= set(listed):
            return self
        if (largest := max(map(int, set(self.classes)))) >= len(listed):
            problem = f"names {len(listed)} classes, and {self.where} has a label {largest}"
            raise file_error(names, problem, "name every class, in the order of the labels")
        return replace(self, classes=[listed[int(name)] for name in self.classes])

    def arranged(self, labels: Mapping[str, int]) -> "Chosen":
        """Return the images of the classes in ``labels``, sorted by label and name."""
        names = self._unique_names
        chosen = [place for place, name in enumerate(self.classes) if name in labels]
        chosen.sort(key=lambda place: (labels[self.classes[place]], names[place]))
        found = [labels[self.classes[place]] for place in chosen]
        return Chosen(np.asarray(chosen, dtype=np.int64), np.asarray(found, dtype=np.int64))

    def held_out(self, places: Indices, fraction: float) -> NDArray[np.bool_]:
        """Return which of the images at ``places`` to validate on, by a hash of class and name.

        ``places`` are sorted by class. Each class has at least one image in each part.

        Raises:
            GratisError: a class has one image only.
        """
        names = self._unique_names
        classes = [self.classes[place] for place in places]
        held_out: list[bool] = []
        while len(held_out) < len(classes):
            start = len(held_out)
            name = classes[start]
            end = next((i for i in range(start, len(classes)) if classes[i] != name), len(classes))
            if end - start < 2:
                problem = f"has 1 image of class {name}, and none to hold out for validation"
                raise file_error(self.where, printable(problem), "add some, or a split val")
            members = [f"{name}/{names[place]}" for place in places[start:end]]
            held_out += held_out_names(members, fraction)
        return np.asarray(held_out, dtype=np.bool_)

    @cached_property
    def _unique_names(self) -> Sequence[str]:
        """The names below the folder of the class; numbers where a class has a name twice."""
        pairs = zip(self.classes, self.names, strict=True)
        names = [_below_class(path, name) for name, path in pairs]
        if len(set(zip(self.classes, names, strict=True))) == len(names):
            return names
        digits = len(str(len(names)))
        return [f"{number:0{digits}}" for number in range(len(names))]


def _below_class(path: str, name: str) -> str:
    """Return what follows the last folder called ``name``; without one, the path.

    Of an absolute path that is its last part, so that a data set may move.
    """
    _, found, below = f"/{path}".rpartition(f"/{name}/")
    if found:
        return below
    return path.rpartition("/")[2] if path.startswith("/") else path


class Chosen(NamedTuple):
    """Images of a listing that are in use: their positions in it, and their labels, int64 (n,)."""

    places: Indices
    labels: Indices


class Splits(NamedTuple):
    """The classes, by label, and the images to train on and to validate on."""

    classes: tuple[str, ...]
    train: Chosen
    validation: Chosen


def divide(
    settings: DataSettings, train: Listing, validation: Listing | None, known: Sequence[str] | None
) -> Splits:
    """Return the images in use, as for class folders.

    Args:
        settings: the classes in use, their file of names, and the share to hold out.
        train: the images to train on.
        validation: the images to validate on. Without it, some of ``train`` are held out: the
            validation images then are positions in ``train``.
        known: the classes in the order of their labels, if the source knows it.

    Raises:
        GratisError: a split lacks classes, or a class has too few images.
    """
    train = train.named(settings.class_names)
    validation = None if validation is None else validation.named(settings.class_names)
    found = dict.fromkeys(train.classes)
    if validation is not None:
        settings.refuse_fraction(train.where, "of training and validation images")
        if unseen := natural_order(set(validation.classes) - found.keys()):
            problem = f"has no training images of the classes {few(unseen)}"
            raise file_error(train.where, problem, "add some, or remove them from validation")
    if known is None or settings.class_names is not None:
        known = order_classes(train.where, found, settings.class_names)
    classes = first_classes(known, settings)
    labels = {name: label for label, name in enumerate(classes)}
    chosen = train.arranged(labels)
    if validation is not None:
        return Splits(classes, chosen, validation.arranged(labels))
    if settings.val_fraction == 1:
        return Splits(classes, chosen, chosen)
    held_out = train.held_out(chosen.places, settings.val_fraction)
    parts = (Chosen(chosen.places[part], chosen.labels[part]) for part in (~held_out, held_out))
    return Splits(classes, *parts)


def choose_splits(where: Path, names: Sequence[str]) -> tuple[str, str | None]:
    """Return the names of the splits to train on and to validate on, by the rules of folders.

    The latter is ``None`` where images of the former are to be held out.

    Raises:
        GratisError: there is no split to train on, or there are several of a kind.
    """
    train, validation, test = (_only(where, names, kind) for kind in (TRAIN, VALIDATION, TEST))
    if train is None and len(names) == 1:
        return names[0], None
    if train is None:
        problem = f"has no split {TRAIN[0]}, but {few(names)}"
        raise file_error(where, printable(problem), "rename one of them")
    return train, validation or test


def describe_splits(chosen: tuple[str, str | None], fraction: float) -> str:
    """Return what is trained and validated on, for a log."""
    train, validation = chosen
    return f"{train} and {validation}" if validation else describe_held_out(fraction)


def _only(where: Path, names: Sequence[str], kind: Sequence[str]) -> str | None:
    found = [name for name in names if name.lower() in kind]
    if len(found) > 1:
        problem = f"has the splits {' and '.join(found)}"
        raise file_error(where, printable(problem), "merge them, or remove all but one")
    return found[0] if found else None
