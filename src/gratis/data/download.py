"""Download a file: resumed where it broke off, and checked against its published sum."""

import hashlib
import http.client
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError

from rich.progress import DownloadColumn, TransferSpeedColumn

from gratis.data.folders import CACHE_REMEDY
from gratis.errors import GratisError, file_error
from gratis.progress import bar

_TIMEOUT_SECONDS = 30
_CHUNK = 2**18
_ATTEMPTS = 20
_BY_HAND = "fetch it on another machine and point --data-root to its folder"


def download(url: str, md5: str, path: Path) -> None:
    """Fetch ``url`` to ``path`` unless it is there, all or nothing, under a progress bar.

    What has arrived is kept as ``<path>.partial``; the next attempt asks only for the rest.

    Raises:
        GratisError: the server cannot be reached, keeps breaking off, or sends another file than
            the one whose MD5 sum is ``md5``; or ``path`` cannot be written.
    """
    if path.is_file():
        return
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        _receive(url, partial)
        _verify(url, md5, partial)
        partial.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise file_error(path, f"cannot be written ({reason})", CACHE_REMEDY) from error


def _receive(url: str, partial: Path) -> None:
    """Append to ``partial`` until the file is complete; an attempt that brings nothing ends it."""
    for _ in range(_ATTEMPTS):
        before = partial.stat().st_size
        if _attempt(url, partial):
            return
        if partial.stat().st_size <= before:
            break
    raise GratisError(f"{url}: the connection broke off; run again to go on, or {_BY_HAND}")


def _attempt(url: str, partial: Path) -> bool:
    """Ask for what is missing and append it; return whether all of it came."""
    have = partial.stat().st_size
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except HTTPError as error:
        with error:
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                # Nothing is missing; whether it is the right file, the sum will tell.
                return True
            reason = f"HTTP {error.code}"
        raise GratisError(f"{url}: cannot be downloaded ({reason}); {_BY_HAND}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = str(getattr(error, "reason", error))
        raise GratisError(f"{url}: cannot be downloaded ({reason}); {_BY_HAND}") from error
    with response:
        # A server that knows no ranges sends the file from its beginning.
        resumed = response.status == HTTPStatus.PARTIAL_CONTENT
        with partial.open("ab" if resumed else "wb") as stream:
            return _append(response, stream, f"Fetching {url.rpartition('/')[2]}")


def _append(response: Any, stream: IO[bytes], title: str) -> bool:
    have, length = stream.tell(), response.headers.get("Content-Length")
    total = None if length is None else have + int(length)
    with bar(title, total, DownloadColumn(), TransferSpeedColumn()) as shown:
        shown.advance(have)
        while chunk := _chunk(response):
            stream.write(chunk)
            shown.advance(len(chunk))
    return total is None or stream.tell() == total


def _chunk(response: Any) -> bytes:
    """Return what came next; nothing at the end of the file, and where the connection breaks."""
    try:
        return bytes(response.read(_CHUNK))
    except (OSError, http.client.HTTPException):
        return b""


def _verify(url: str, md5: str, partial: Path) -> None:
    with partial.open("rb") as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != md5:
        partial.unlink()
        raise GratisError(
            f"{url}: sent another file than the published one (MD5 {found}, not {md5}); "
            f"run again, or {_BY_HAND}"
        )
