"""The arguments of the public functions: checked, and named in errors as Python names them."""

import functools
import re
from collections.abc import Callable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import ParamSpec, TypeVar

from gratis.data import from_argument
from gratis.errors import GratisError
from gratis.settings import absolute, brief, overrides_of

P = ParamSpec("P")
R = TypeVar("R")

# A whole command, which stays as it is; an option with a value; an option.
_OPTION = re.compile(r"gratis [a-z]+ [^;]*|--(suite|data) ([\w:]+)|--([a-z]+(?:-[a-z]+)*)")
# Options whose arguments have another name.
_RENAMED = {
    "skip_broken_images": "skip_broken",
    "on_divergence": "the override train.on_divergence",
}


def python_names(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function: its errors name arguments, not the options of a command."""

    @functools.wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            return function(*arguments, **named)
        except GratisError as error:
            # In place: some kinds of errors hold more than a message.
            error.args = (_OPTION.sub(_argument, str(error)), *error.args[1:])
            raise

    return call


def _argument(found: re.Match[str]) -> str:
    if found[1] is not None:
        return f'{found[1]}="{found[2]}"'
    if found[3] is not None:
        name = found[3].replace("-", "_")
        return _RENAMED.get(name, name)
    return found[0]


def whole_number(name: str, value: object, least: int | None = None) -> int:
    """Return an integer, also one of NumPy.

    Raises:
        GratisError: it is not a whole number, or below ``least``.
    """
    needed = "a whole number" + ("" if least is None else f" of at least {least}")
    index = None if isinstance(value, bool) else getattr(value, "__index__", None)
    try:
        number: int | None = None if index is None else index()
    except TypeError:  # a tensor of floats
        number = None
    if number is None or (least is not None and number < least):
        raise GratisError(f"{name}: needs {needed}, not {brief(value)}")
    return number


def path_of(name: str, value: object) -> Path:
    """Return a path, with ``~`` expanded.

    Raises:
        GratisError: it is no path.
    """
    # The empty text, such as that of a variable that is not set, would be the current folder.
    if not isinstance(value, str | PathLike) or value == "":
        raise GratisError(f"{name}: needs a path, not {brief(value)}")
    return Path(fspath(value)).expanduser()


def optional_path(name: str, value: object) -> Path | None:
    """Return a path as :func:`path_of` does, or ``None``."""
    return None if value is None else path_of(name, value)


def listed(overrides: Sequence[str]) -> Sequence[str]:
    """Return a list of overrides.

    Raises:
        GratisError: it is a single text.
    """
    if isinstance(overrides, str):
        raise GratisError(f"overrides: needs a list, such as [{overrides!r}]")
    return overrides


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
