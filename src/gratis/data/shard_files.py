"""The files of a store's images: shards, each with facts beside it that prove it whole."""

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gratis.data.raw import BrokenImage
from gratis.digests import file_digest
from gratis.files import flush_folder, flush_to_disk

# The number of images that are decoded at a time; shards consist of whole chunks.
CHUNK = 64
# A shard is decoded in a minute or so, and a kill costs no more than one.
_MOST_IMAGES, _MOST_BYTES = 2**14, 2**30

# The broken images of a split, by their index in it.
Broken = dict[int, BrokenImage]


@dataclass(frozen=True)
class Shard:
    """A file with the images ``rows`` of a split; ``full`` if others have no more images."""

    path: Path
    rows: range
    full: bool

    @property
    def facts(self) -> Path:
        """The file of the facts."""
        return self.path.with_suffix(".json")

    @property
    def names(self) -> tuple[str, str]:
        """The names of both files."""
        return self.path.name, self.facts.name

    def writing(self) -> AbstractContextManager[IO[bytes]]:
        """Yield a stream; what is written becomes the shard if the block succeeds."""
        return _replacing(self.path)

    def finish(self, broken: Broken) -> None:
        """Write the facts; from now on the shard counts as whole."""
        facts = {
            "rows": [self.rows.start, self.rows.stop],
            "sha256": file_digest(self.path),
            "broken": {
                str(index): [str(error.path), error.reason, error.remedy]
                for index, error in broken.items()
            },
        }
        with _replacing(self.facts) as stream:
            stream.write(json.dumps(facts).encode())
        flush_folder(self.facts.parent)

    def broken_images(self) -> Broken | None:
        """Return the images that a whole shard lacks; ``None`` if it is not whole."""
        # A damaged file raises ValueError, KeyError, RecursionError and others.
        try:
            facts = json.loads(self.facts.read_text(encoding="utf-8"))
            if facts["rows"] != [self.rows.start, self.rows.stop]:
                return None
            broken = {
                int(index): BrokenImage(Path(path), str(reason), str(remedy))
                for index, (path, reason, remedy) in facts["broken"].items()
            }
            return broken if file_digest(self.path) == facts["sha256"] else None
        except Exception:
            return None


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Yield a stream to a temporary file, which replaces ``path`` if the block succeeds.

    Errors stay those of the system, since the store has its own remedy for them.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with temporary.open("wb") as stream:
        yield stream
        flush_to_disk(stream)
    temporary.replace(path)


def plan_shards(folder: Path, name: str, images: int, size: int) -> list[Shard]:
    """Return the shards of the split ``name`` with ``images`` of ``size`` pixels, one or more."""
    most = min(_MOST_IMAGES, _MOST_BYTES // (3 * size**2))
    each = max(most // CHUNK, 1) * CHUNK
    starts = range(0, images, each)
    return [
        Shard(
            folder / (f"{name}-{number:05}.npy" if len(starts) > 1 else f"{name}.npy"),
            range(start, min(start + each, images)),
            start + each <= images,
        )
        for number, start in enumerate(starts)
    ]
