"""The order of the classes of an image folder: natural, or that of a file of names."""

import json
import logging
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gratis.data.dataset import few
from gratis.errors import file_error, printable
from gratis.regular_files import read_text

logger = logging.getLogger(__name__)

_REMEDY = (
    "write one class folder per line in the order of the labels, or JSON: a list of folders, or "
    '{"folder": label}'
)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_LARGEST = 10_000_000


def natural_order(names: Iterable[str]) -> list[str]:
    """Return names sorted with the numbers in them by value: 2 before 10."""
    names = list(names)
    if all(_NUMBER.fullmatch(name) for name in names):
        # Of plain numbers, also signs and decimal points count.
        return sorted(names, key=lambda name: (float(name), name))
    return sorted(names, key=lambda name: (_natural_key(name), name))


def _natural_key(name: str) -> list[tuple[int, int, str]]:
    chunks = re.split(r"([0-9]+)", name)
    return [(0, int(c), "") if c.isdigit() and c.isascii() else (1, 0, c) for c in chunks if c]


def order_classes(root: Path, found: Iterable[str], names: Path | None) -> list[str]:
    """Return the classes in the order of their labels.

    ``names`` is a file of class names (:func:`read_class_names`), which may name more classes than
    are found. Without it, the order is the natural one, with a warning if that is not the
    alphabetical one. ``root`` is for messages.
    """
    if names is None:
        natural = natural_order(found)
        if natural != sorted(natural):
            logger.warning(
                printable(
                    f"{root}: classes are in natural order ({few(natural)}), not in alphabetical "
                    f"order ({few(sorted(natural))}); for a model with other labels, name a file "
                    "with data.class_names"
                )
            )
        return natural
    listed = read_class_names(names)
    if unknown := natural_order(set(found) - set(listed)):
        problem = f"lacks the class folders {few(unknown)} of {root}"
        raise file_error(names, problem, "add them, or remove the folders")
    if absent := len(set(listed) - set(found)):
        logger.info(printable(f"{root}: has no images of {absent} of the classes in {names}"))
    return listed


def read_class_names(path: Path) -> list[str]:
    """Return the names of the classes in a file, by label.

    The file is text with one class folder per line, or JSON: a list of folders, or a mapping of
    folders to labels or of labels to folders.
    """
    text = read_text(path, _LARGEST, _REMEDY)
    try:
        names = _from_json(json.loads(text)) if text.lstrip()[:1] in ("[", "{") else _lines(text)
    except (ValueError, RecursionError) as error:
        raise file_error(path, f"is no list of classes ({error})", _REMEDY) from error
    # As the names of class folders are.
    names = [printable(unicodedata.normalize("NFC", name)) for name in names]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise file_error(path, f"names {few(twice)} twice", "name every class once")
    return names


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _from_json(content: Any) -> list[str]:
    if isinstance(content, dict):
        labels = {str(k): v for k, v in content.items()}
        if all(isinstance(label, str) for label in labels.values()):
            labels = {name: int(label) for label, name in labels.items()}
        if any(not isinstance(label, int) for label in labels.values()):
            raise ValueError("labels are not whole numbers")
        if sorted(labels.values()) != list(range(len(labels))):
            raise ValueError(f"labels are not 0 to {len(labels) - 1}")
        return sorted(labels, key=lambda name: labels[name])
    if not isinstance(content, list) or any(not isinstance(name, str) for name in content):
        raise ValueError("neither a list of names nor a mapping")
    return content
