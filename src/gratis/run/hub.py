"""Models on the hub: ``hub:USER/NAME``, or ``hub:USER/NAME@REVISION``."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gratis.errors import GratisError, printable
from gratis.run.bundled import bundled_folder
from gratis.run.folder import SHARED_MANIFEST

PREFIX = "hub:"
# Seconds to wait for the hub to answer.
_PATIENCE = 20


def endpoint() -> str | None:
    """Return the address of the hub in ``HF_ENDPOINT``; ``None`` is the usual one."""
    # Read at every call: huggingface_hub reads it once, when it is imported.
    return os.environ.get("HF_ENDPOINT") or None


def local_folder(target: str | Path) -> Path:
    """Return the folder of a run: ``target``, or where ``hub:USER/NAME`` was downloaded to.

    The name of a bundled model is its folder, unless a file of that name exists.

    Downloaded files are in the cache of huggingface_hub, and are used from there if the hub cannot
    be reached. They are checked against their checksums every time.
    """
    name = str(target)
    if not name.startswith(PREFIX):
        return Path(target) if os.path.lexists(target) else bundled_folder(name) or Path(target)
    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    from huggingface_hub import snapshot_download

    # It needs the reports, which take a moment to import.
    from gratis.run.shared_folder import FILES, check

    with hub_call(name):
        folder = snapshot_download(
            repository,
            revision=revision or None,
            # By name: a repository may hold pickled weights and code, which are never fetched.
            allow_patterns=[*FILES, SHARED_MANIFEST],
            endpoint=endpoint(),
            etag_timeout=_PATIENCE,
            library_name="gratis",
        )
    check(Path(folder))
    return Path(folder)


@contextmanager
def hub_call(name: str) -> Iterator[None]:
    """Call the hub without its progress bars; turn what goes wrong into a line with the name."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    hidden = are_progress_bars_disabled()
    try:
        disable_progress_bars()
        yield
    except GratisError:
        raise
    # huggingface_hub raises its own errors, those of its HTTP client, ValueError and OSError.
    except Exception as error:
        where = endpoint() or "https://huggingface.co"
        first = str(error).strip().partition("\n")[0][:200] or "no details"
        problem = f"{type(error).__name__}: {first}"
        raise GratisError(
            printable(f"{name}: the hub at {where} {_meaning(error)} ({problem}); {_remedy(error)}")
        ) from error
    finally:
        if not hidden:
            enable_progress_bars()


def _kinds(error: Exception) -> set[str]:
    """Return the names of an error's classes: they moved between versions of huggingface_hub."""
    return {kind.__name__ for kind in type(error).__mro__}


def _meaning(error: Exception) -> str:
    kinds = _kinds(error)
    if "HFValidationError" in kinds:
        return "has no such names"
    # The file is in no local cache either, whatever went wrong before.
    if "LocalEntryNotFoundError" not in kinds and kinds & {
        "RepositoryNotFoundError",
        "RevisionNotFoundError",
        "EntryNotFoundError",
    }:
        return "has no such model, or it is private"
    return "does not answer as expected"


def _remedy(error: Exception) -> str:
    if _meaning(error).startswith("does not answer"):
        return "check the network and HF_ENDPOINT, and try again"
    return "write hub:USER/NAME or hub:USER/NAME@REVISION, or log in with: hf auth login"
