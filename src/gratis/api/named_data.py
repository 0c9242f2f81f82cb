"""The settings of a data set that is given by its name."""

from pathlib import Path

from gratis.data import from_argument
from gratis.settings import absolute, override


def named_data(name: str | None, root: Path | None, skip_broken: bool) -> dict[str, str | bool]:
    """Return the given settings of a data set, as fields of :class:`gratis.data.DataSettings`."""
    chosen: dict[str, str | bool] = dict(from_argument(name)) if name else {}
    if root is not None:
        chosen["root"] = str(absolute(root))
    return chosen | ({"skip_broken": True} if skip_broken else {})


def data_overrides(name: str | None, root: Path | None, skip_broken: bool) -> list[str]:
    """Return the given settings of a data set, as overrides of a recipe."""
    chosen = named_data(name, root, skip_broken)
    return [override(f"data.{key}", value) for key, value in chosen.items()]
