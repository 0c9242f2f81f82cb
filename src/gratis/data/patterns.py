"""Patterns of shards: ``{000..012}``, ``{train,val}`` and wildcards."""

import glob
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from gratis.data.dataset import few
from gratis.data.layout import TEST, TRAIN, VALIDATION
from gratis.errors import file_error

_MOST = 100_000
_INNERMOST = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_REMEDY = "write a path such as DIR/train-{000..012}.tar, or DIR/*.tar in quotes"
_KINDS = {name: kind[0] for kind in (TRAIN, VALIDATION, TEST) for name in kind}


def find_shards(pattern: Path) -> list[Path]:
    """Return the files that a pattern means, each once, in its order; wildcards are sorted.

    Raises:
        GratisError: a file is missing, or there are more than any data set has.
    """
    expanded = list(islice(_expanded(str(pattern)), _MOST + 1))
    if len(expanded) > _MOST:
        raise file_error(pattern, f"means more than {_MOST:,} files", _REMEDY)
    found = {path: None for text in expanded for path in _matching(text)}
    if missing := [text for text in expanded if not glob.has_magic(text) and text not in found]:
        raise file_error(pattern, f"names files that do not exist: {few(missing)}", _REMEDY)
    if not found:
        raise file_error(pattern, "matches no file", _REMEDY)
    return [Path(path) for path in found]


def _matching(text: str) -> list[str]:
    return sorted(path for path in glob.glob(text) if Path(path).exists())


def _expanded(text: str) -> Iterator[str]:
    """Yield what the braces of ``text`` stand for, from left to right."""
    found = _INNERMOST.search(text)
    if found is None:
        yield text
        return
    for choice in _choices(found[1]):
        yield from _expanded(text[: found.start()] + choice + text[found.end() :])


def _choices(text: str) -> Iterator[str]:
    limits = _RANGE.fullmatch(text)
    if limits is None:
        yield from text.split(",")
        return
    first, last = int(limits[1]), int(limits[2])
    padded = limits[1][0] == "0" or limits[2][0] == "0"
    digits = max(map(len, limits.groups())) if padded else 1
    step = 1 if first <= last else -1
    yield from (f"{number:0{digits}}" for number in range(first, last + step, step))


def by_split(pattern: Path, shards: list[Path]) -> dict[str, list[Path]]:
    """Return the shards of each split, by a word in the name of the file, or in that of its folder.

    Where no name has such a word, there is one split.

    Raises:
        GratisError: some names have one and others do not, or a name has several.
    """
    splits: dict[str, list[Path]] = {}
    for shard in shards:
        splits.setdefault(_split(pattern, shard), []).append(shard)
    if len(splits) > 1 and "" in splits:
        problem = f"names shards of splits, and {splits[''][0].name} without one"
        remedy = f"put {TRAIN[0]} or {VALIDATION[0]} into the names of all, or of none"
        raise file_error(pattern, problem, remedy)
    return {name or TRAIN[0]: files for name, files in splits.items()}


def _split(pattern: Path, shard: Path) -> str:
    for name in (shard.stem, shard.parent.name):
        words = re.split(r"[^a-z]+", name.lower())
        kinds = sorted({_KINDS[word] for word in words if word in _KINDS})
        if len(kinds) > 1:
            problem = f"names {shard.name}, which has the words of the splits {' and '.join(kinds)}"
            raise file_error(pattern, problem, "rename it")
        if kinds:
            return kinds[0]
    return ""


def pattern_name(pattern: Path) -> str:
    """Return a short name of the shards of a pattern: how their names begin, or their folder's."""
    begin = re.split(r"[][{}*?]", pattern.name)[0].removesuffix(".tar")
    words = [word for word in re.split(r"[-_. ]+", begin) if word]
    kept = "-".join(word for word in words if word.lower() not in _KINDS)
    plain = re.split(r"[][{}*?]", pattern.parent.name)[0]
    return kept or plain or "shards"
