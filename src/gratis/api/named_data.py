"""The settings of a data set that is given by its name."""

from pathlib import Path

from gratis.data import from_argument
from gratis.errors import GratisError
from gratis.settings import absolute, brief, overrides_of


def named_data(name: str | None, root: Path | None, skip_broken: bool) -> dict[str, str | bool]:
    """Return the given settings of a data set, as fields of :class:`gratis.data.DataSettings`.

    Raises:
        GratisError: the name is no text, or a path is wrong.
    """
    if name is not None and not isinstance(name, str):
        raise GratisError(f"data: needs a name, such as digits or folder:PATH, not {brief(name)}")
    chosen: dict[str, str | bool] = dict(from_argument(name)) if name else {}
    if root is not None:
        chosen["root"] = str(absolute(root))
    return chosen | ({"skip_broken": True} if skip_broken else {})


def data_overrides(name: str | None, root: Path | None, skip_broken: bool) -> list[str]:
    """Return the given settings of a data set, as overrides of a recipe."""
    chosen = named_data(name, root, skip_broken)
    return overrides_of({f"data.{key}": value for key, value in chosen.items()})
