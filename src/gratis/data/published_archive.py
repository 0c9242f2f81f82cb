"""Data sets that are published as one archive: found on disk, or downloaded and unpacked."""

from dataclasses import dataclass
from pathlib import Path

from gratis.data.archive import extract
from gratis.data.cache import CACHE_REMEDY, cache_folder, cache_lock
from gratis.data.download import download
from gratis.errors import file_error
from gratis.files import atomic_folder


@dataclass(frozen=True)
class PublishedArchive:
    """An archive on the web that unpacks to ``folder``; ``marker`` is a file in that folder."""

    url: str
    md5: str
    folder: str
    marker: str

    @property
    def name(self) -> str:
        """Return the archive's file name."""
        return self.url.rpartition("/")[2]


def locate(published: PublishedArchive, root: Path | None) -> Path:
    """Return the unpacked folder of a published data set.

    ``root`` is that folder; a folder that holds it, or that holds the archive, which is unpacked
    there; or the archive. By default the archive is downloaded to the cache.
    """
    where = _where(published, root)
    for folder in (where, where / published.folder):
        if (folder / published.marker).is_file():
            return folder
    if folder.exists():
        raise file_error(folder, f"lacks {published.marker}", "delete this folder, or restore it")
    archive = where / published.name
    if root is None:
        return _fetch(archive, published)
    if not archive.is_file():
        problem = f"holds neither {published.folder}/{published.marker} nor {published.name}"
        raise file_error(where, problem, _remedy(published))
    return _unpack(archive, published)


def _where(published: PublishedArchive, root: Path | None) -> Path:
    """Return the folder to search."""
    where = (cache_folder() / "downloads" if root is None else root.expanduser()).resolve()
    if where.is_file() and where.name != published.name:
        raise file_error(where, "is a file", _remedy(published))
    return where.parent if where.is_file() else where


def _remedy(published: PublishedArchive) -> str:
    return f"point --data-root to a folder that holds {published.folder} or {published.name}"


def _fetch(archive: Path, published: PublishedArchive) -> Path:
    folder = archive.parent / published.folder
    with cache_lock(published.folder):
        # Another process may have fetched it in the meantime.
        if not folder.exists():
            download(published.url, published.md5, archive)
            _unpack(archive, published)
            archive.unlink(missing_ok=True)
    return folder


def _unpack(archive: Path, published: PublishedArchive) -> Path:
    folder = archive.parent / published.folder
    # An unreadable archive must not be reported as an unwritable folder.
    archive.open("rb").close()
    with atomic_folder(
        folder, f"unpack {archive.name} into another folder, or {CACHE_REMEDY}"
    ) as temporary:
        extract(archive, temporary, top=published.folder)
        if not (temporary / published.marker).is_file():
            raise file_error(archive, f"holds no {published.marker}", "fetch the original archive")
    return folder
