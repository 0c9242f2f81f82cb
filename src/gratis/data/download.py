"""Download a file, resuming after a broken connection, and verify its published MD5 sum."""

import hashlib
import http.client
import os
import re
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError

from rich.progress import DownloadColumn, TransferSpeedColumn

from gratis.data.cache import CACHE_REMEDY
from gratis.errors import GratisError, file_error, printable
from gratis.files import flush_folder
from gratis.progress import bar

_TIMEOUT_SECONDS = 30.0
_CHUNK = 2**18
_ATTEMPTS = 20
# Several times the size of the largest archive.
_LARGEST = 4 * 2**30
_BY_HAND = "fetch it on another machine and point --data-root to its folder"


def download(url: str, md5: str, path: Path) -> None:
    """Fetch ``url`` to ``path`` atomically, with a progress bar, unless ``path`` exists.

    What has arrived is kept in ``<path>.partial``; the next call asks only for the rest.
    """
    if path.is_file():
        return
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        complete = _receive(url, partial)
        _verify(url, md5, partial, complete)
        partial.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise file_error(path, f"cannot be written ({reason})", CACHE_REMEDY) from error


def _receive(url: str, partial: Path) -> bool:
    """Append to ``partial`` until the file is complete or an attempt brings nothing new."""
    for _ in range(_ATTEMPTS):
        have = partial.stat().st_size
        response = _request(url, have)
        if response is None:
            return True
        with response, partial.open("r+b") as stream:
            start = _start(response, have)
            if start > have > 0:
                # The bytes between are missing: start again from the beginning.
                stream.truncate(0)
                continue
            stream.seek(start)
            stream.truncate()
            if _append(url, response, stream):
                return True
        if partial.stat().st_size <= have:
            break
    return False


def _request(url: str, have: int) -> Any:
    """Return the response with all but the first ``have`` bytes; ``None`` if there are no more."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except HTTPError as error:
        error.close()
        if have and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None
        raise _failure(url, f"cannot be downloaded (HTTP {error.code})") from error
    except (OSError, http.client.HTTPException) as error:
        reason = str(getattr(error, "reason", error))
        raise _failure(url, f"cannot be downloaded ({reason})") from error


def _start(response: Any, have: int) -> int:
    """Return the offset in the file of a response's first byte."""
    # A server without support for ranges sends the whole file.
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        return 0
    found = re.match(r"bytes (\d{1,15})-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else have


def _append(url: str, response: Any, stream: IO[bytes]) -> bool:
    have = stream.tell()
    total = None if response.length is None else have + response.length
    title = f"Fetching {url.rpartition('/')[2]}"
    with bar(title, total, DownloadColumn(), TransferSpeedColumn()) as progress_bar:
        progress_bar.advance(have)
        while total is None or stream.tell() < total:
            chunk = _chunk(response)
            if not chunk:
                return chunk is not None and total is None
            stream.write(chunk)
            progress_bar.advance(len(chunk))
            if stream.tell() > _LARGEST:
                stream.truncate(0)
                raise _failure(url, f"sends more than {_LARGEST} bytes")
    return True


def _chunk(response: Any) -> bytes | None:
    """Return the next bytes: none at the end of the file, ``None`` if the connection breaks."""
    try:
        return bytes(response.read1(_CHUNK))
    except (OSError, http.client.HTTPException):
        return None


def _verify(url: str, md5: str, partial: Path, complete: bool) -> None:
    """Check that the file is the right one, and flush it to disk."""
    with partial.open("rb") as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        os.fsync(stream.fileno())
    if found == md5:
        return
    if not complete:
        raise GratisError(f"{url}: the connection broke off; run again to resume, or {_BY_HAND}")
    partial.unlink()
    problem = f"sent a file that is not the published one (MD5 {found}, not {md5})"
    raise GratisError(f"{url}: {problem}; run again, or {_BY_HAND}")


def _failure(url: str, problem: str) -> GratisError:
    return GratisError(printable(f"{url}: {problem}; {_BY_HAND}"))
