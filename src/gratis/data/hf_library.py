"""Loading with the ``datasets`` library: no code of others, and every failure in one line."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gratis.errors import GratisError, file_error, printable

# What reads files of data. The library's other builders read no images, or formats of other kinds.
_BUILDERS = ("arrow", "cache", "imagefolder", "parquet")
# Of a folder that ``save_to_disk`` wrote.
_SAVED = ("dataset_dict.json", "state.json")
_OFFLINE = "check the network, or name a local folder that holds it: hf:FOLDER"


def library() -> Any:
    """Return the module ``datasets``.

    Raises:
        GratisError: it is not installed.
    """
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise GratisError(
            "data: hf needs the extra 'hf'; install it: pip install 'gratis[hf]'"
        ) from error


def load_splits(where: Path, name: str, config: str | None) -> dict[str, Any]:
    """Return the splits of a data set, each a ``datasets.Dataset``, by name.

    Args:
        where: what names it in messages.
        name: the path of a local folder, or a name on the hub.
        config: which of several configurations.
    """
    datasets = library()
    with _quiet(datasets), _one_line(where):
        if any((Path(name) / file).is_file() for file in _SAVED):
            loaded = datasets.load_from_disk(name)
        else:
            builder = datasets.load_dataset_builder(name, config)
            _refuse_other_builders(where, builder)
            builder.download_and_prepare()
            loaded = builder.as_dataset()
    if isinstance(loaded, datasets.Dataset):
        return {str(loaded.split or "train"): loaded}
    return {str(split): content for split, content in loaded.items()}


def prepared_column(where: Path, table: Any, column: str) -> Any:
    """Return a column of images as a table of Arrow, whose cells have ``bytes`` and a ``path``.

    Raises:
        GratisError: it holds something else.
    """
    datasets = library()
    chosen = table.select_columns([column])
    if not isinstance(table.features[column], datasets.Image):
        with _one_line(where):
            chosen = chosen.cast_column(column, datasets.Image(decode=False))
    return chosen.with_format("arrow")


def _refuse_other_builders(where: Path, builder: Any) -> None:
    kind = type(builder).__module__.rpartition(".")[2]
    if kind == "webdataset":
        raise file_error(where, "holds shards of webdataset", "name them with wds:PATTERN")
    if kind not in _BUILDERS:
        problem = f"holds data of the kind {kind}, and no images"
        raise file_error(where, problem, "convert it to Parquet with a column of images")


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """Hide the library's progress bars, since nothing but the command line prints."""
    shown = not datasets.utils.are_progress_bars_disabled()
    datasets.utils.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.utils.enable_progress_bars()


@contextmanager
def _one_line(where: Path) -> Iterator[None]:
    """Turn the errors of the library, which have many types, into one clear line."""
    try:
        yield
    except GratisError:
        raise
    except Exception as error:
        raise file_error(where, *_explained(error)) from error


def _explained(error: Exception) -> tuple[str, str]:
    """Return the problem and its remedy."""
    text = " ".join(str(error).split())
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "scripts are no longer supported" in text:
        problem = "is read by a script of its authors, and no code of others is run"
        return problem, "convert it to Parquet, and name its folder"
    if "ConnectionError" in kinds or "OfflineModeIsEnabled" in kinds:
        return "cannot be downloaded, and is not in the cache", _OFFLINE
    if "DatasetNotFoundError" in kinds:
        problem = "is neither a folder nor a data set of the hub that can be accessed"
        return problem, "correct the name, or log in to the hub"
    if "Config name is missing" in text or "BuilderConfig" in text:
        return f"has several configurations ({printable(text)[:300]})", "set data.config=NAME"
    if "DataFilesNotFoundError" in kinds or "EmptyDatasetError" in kinds:
        return "holds no files of data", "it needs Parquet or Arrow files, or folders of images"
    return f"cannot be loaded ({printable(text)[:300] or type(error).__name__})", ""
