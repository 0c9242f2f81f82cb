"""Data sets that are published as one archive: find them, or fetch and unpack them."""

from dataclasses import dataclass
from pathlib import Path

from gratis.data.archive import extract
from gratis.data.download import download
from gratis.data.folders import CACHE_REMEDY, cache_folder, in_turn
from gratis.errors import file_error
from gratis.files import appearing


@dataclass(frozen=True)
class Published:
    """An archive on the web; ``folder`` is what it unpacks to, ``marker`` a file in that folder."""

    url: str
    md5: str
    folder: str
    marker: str

    @property
    def archive(self) -> str:
        """Return the archive's file name."""
        return self.url.rpartition("/")[2]


def locate(published: Published, root: Path | None) -> Path:
    """Return the unpacked folder of a published data set.

    ``root`` is that folder, or holds it, or holds the archive, which is then unpacked beside; or
    it is the archive.
    Without ``root`` the cache is searched and, where it has nothing, filled from the web.

    Raises:
        GratisError: it is not there, or cannot be downloaded or unpacked.
    """
    where = _where(published, root)
    for folder in (where, where / published.folder):
        if (folder / published.marker).is_file():
            return folder
    if folder.exists():
        raise file_error(folder, f"lacks {published.marker}", "delete this folder, or restore it")
    archive = where / published.archive
    if root is None:
        return _fetched(archive, published)
    if not archive.is_file():
        problem = f"holds neither {published.folder}/{published.marker} nor {published.archive}"
        raise file_error(where, problem, f"point --data-root to {_wanted(published)}")
    return _unpacked(archive, published)


def _fetched(archive: Path, published: Published) -> Path:
    folder = archive.parent / published.folder
    with in_turn(published.folder):
        # Another process may have fetched it while this one waited.
        if not folder.exists():
            download(published.url, published.md5, archive)
            _unpacked(archive, published)
            archive.unlink(missing_ok=True)
    return folder


def _where(published: Published, root: Path | None) -> Path:
    """Return the folder to search."""
    where = (cache_folder() / "downloads" if root is None else root.expanduser()).resolve()
    if where.is_file() and where.name != published.archive:
        raise file_error(where, "is a file", f"point --data-root to {_wanted(published)}")
    return where.parent if where.is_file() else where


def _wanted(published: Published) -> str:
    return f"a folder that holds {published.folder} or {published.archive}"


def _unpacked(archive: Path, published: Published) -> Path:
    folder = archive.parent / published.folder
    # An archive that cannot be read is not yet a folder that cannot be written.
    archive.open("rb").close()
    with appearing(folder, f"unpack {archive.name} elsewhere, or {CACHE_REMEDY}") as temporary:
        extract(archive, temporary, top=published.folder)
        if not (temporary / published.marker).is_file():
            raise file_error(archive, f"holds no {published.marker}", "fetch the original archive")
    return folder
