"""Where the images of webdataset shards are: tar archives with several members for each sample.

The members of a sample share their name up to the first dot: ``7.jpg`` is an image, and ``7.cls``,
``7.json`` or ``7.txt`` gives its class. Nothing is unpickled.
"""

import json
import unicodedata
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tarfile import TarInfo
from typing import Any, NamedTuple

from gratis.data.archive import one_line
from gratis.data.cache import cache_folder
from gratis.data.image_files import SUFFIXES
from gratis.data.list_file import LABEL_COLUMNS, plain_name
from gratis.data.raw import stamp
from gratis.data.tar_headers import Tar, open_tar
from gratis.digests import digest
from gratis.errors import GratisError, file_error, printable
from gratis.files import write_text
from gratis.settings import brief

# Contents that give a class, in the order in which they are looked for.
_LABELS = ("cls", "json", "txt")
_LONGEST_LABEL = 2**16
# Part of every key: raise it when an index gets other content.
_FORMAT = 1
_LONGEST_NAME = 1000
_COLUMNS = (
    "name the members with data.columns=[jpg,cls], or with a key of the .json in second place"
)


class Member(NamedTuple):
    """An image in a shard.

    Attributes:
        name: its name in the archive.
        class_name: the name of its class.
        offset: where its content begins in the archive, in bytes.
        size: the length of its content, in bytes.
    """

    name: str
    class_name: str
    offset: int
    size: int


def index_once(
    shard: Path, columns: tuple[str, str] | None, left_out: Counter[str]
) -> list[Member]:
    """Return what :func:`index_shard` does, from the cache if the shard was indexed before.

    An index is kept for a path, with its size and its modification time.
    """
    key = digest([json.dumps([_FORMAT, stamp(shard), columns])])
    path = cache_folder() / "shards" / f"{key[:32]}.json"
    # A damaged index raises ValueError, TypeError, RecursionError and others.
    with suppress(Exception):
        content = json.loads(path.read_text(encoding="utf-8"))
        members = [Member(str(n), str(c), int(o), int(s)) for n, c, o, s in content["members"]]
        left_out.update({str(kind): int(count) for kind, count in content["left_out"].items()})
        return members
    others = Counter[str]()
    members = index_shard(shard, columns, others)
    left_out.update(others)
    # Without it, the shard is read again.
    with suppress(GratisError):
        write_text(path, json.dumps({"members": members, "left_out": others}))
    return members


class _Sample(NamedTuple):
    """The members of a sample, by their ending."""

    images: dict[str, TarInfo]
    labels: dict[str, str]


def index_shard(
    shard: Path, columns: tuple[str, str] | None, left_out: Counter[str]
) -> list[Member]:
    """Return the images of a shard, in its order.

    Args:
        shard: the archive.
        columns: the ending of the images, and that of labels or a key of the ``.json`` member.
        left_out: counts the other members.

    Raises:
        GratisError: the archive is broken or compressed, a member is a link, or the image or the
            class of a sample cannot be told.
    """
    with one_line(shard), open_tar(shard) as content:
        if content.compressed:
            remedy = "decompress it, as with gunzip: images are read where they are in it"
            raise file_error(shard, "is compressed", remedy)
        samples = _samples(shard, content, columns, left_out)
        if not content.rest(1):
            raise file_error(shard, "is cut short", "fetch it again")
    return [
        _member(shard, key, sample, columns) for key, sample in samples.items() if sample.images
    ]


def _samples(
    shard: Path, content: Tar, columns: tuple[str, str] | None, left_out: Counter[str]
) -> dict[str, _Sample]:
    labelled = {*_LABELS, *([columns[1]] if columns else [])}
    samples: dict[str, _Sample] = {}
    for member in content:
        folder, slash, base = member.name.rpartition("/")
        stem, _, ending = base.partition(".")
        if member.isdir() or not stem:
            continue
        if not member.isfile() or member.issparse():
            raise _member_error(shard, member.name, "is a link, a device or a sparse file")
        if len(member.name) > _LONGEST_NAME:
            raise _member_error(shard, member.name, "has too long a name")
        sample = samples.setdefault(f"{folder}{slash}{stem}", _Sample({}, {}))
        is_image = ending == columns[0] if columns else f".{ending.lower()}" in SUFFIXES
        if ending in sample.images or ending in sample.labels:
            raise _member_error(shard, member.name, "is there twice")
        if is_image:
            sample.images[ending] = member
        elif ending in labelled:
            sample.labels[ending] = _text(shard, content, member)
        else:
            left_out[f".{printable(ending)}"] += 1
    return samples


def _text(shard: Path, content: Tar, member: TarInfo) -> str:
    if member.size > _LONGEST_LABEL:
        raise _member_error(shard, member.name, f"is longer than {_LONGEST_LABEL} bytes")
    try:
        return content.read(member).decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise _member_error(shard, member.name, "is not UTF-8") from error


def _member(shard: Path, key: str, sample: _Sample, columns: tuple[str, str] | None) -> Member:
    if len(sample.images) > 1:
        problem = f"is one of {len(sample.images)} images of a sample"
        raise _member_error(shard, next(iter(sample.images.values())).name, problem, _COLUMNS)
    (image,) = sample.images.values()
    label = _label(shard, image.name, sample.labels, columns)
    name = printable(unicodedata.normalize("NFC", label))
    return Member(image.name, name, image.offset_data, image.size)


def _label(shard: Path, image: str, labels: dict[str, str], columns: tuple[str, str] | None) -> str:
    """Return the class that the members of a sample name."""
    wanted = columns[1] if columns else next((kind for kind in _LABELS if kind in labels), None)
    if wanted in labels and wanted != "json":
        found = labels[wanted]
    elif "json" in labels:
        found = _from_json(shard, image, labels["json"], columns[1] if columns else None)
    else:
        sought = f".{columns[1]}" if columns else ", ".join(f".{kind}" for kind in _LABELS)
        problem = f"has no member beside it that gives its class ({sought})"
        raise _member_error(shard, image, problem, _COLUMNS)
    if not found:
        raise _member_error(shard, image, "has an empty label")
    return found


def _from_json(shard: Path, image: str, text: str, key: str | None) -> str:
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _member_error(shard, image, "has a .json beside it that is no JSON") from error
    content = content if isinstance(content, dict) else {"label": content}
    if key is None:
        keys = [name for name in content if plain_name(name) in LABEL_COLUMNS]
    else:
        keys = [key] if key in content else []
    if len(keys) != 1 or not isinstance(content[keys[0]], int | str):
        found = brief(", ".join(content)) if content else "none"
        problem = f"has a .json beside it without one key for the class (its keys: {found})"
        raise _member_error(shard, image, problem, _COLUMNS)
    return str(content[keys[0]]).strip()


def _member_error(shard: Path, member: str, problem: str, remedy: str = "") -> GratisError:
    return file_error(shard, f"its member {brief(member)} {problem}", remedy)
