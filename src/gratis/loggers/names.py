"""The names of the loggers, and the packages that they need."""

from collections.abc import Collection, Sequence
from importlib.util import find_spec

from gratis.errors import GratisError
from gratis.settings import brief, did_you_mean

# The packages of the extra with the name of the logger.
PACKAGES = {
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
}
NAMES = tuple(PACKAGES)


def require(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of loggers, each once, after checking that their packages are installed.

    Raises:
        GratisError: there is no such logger, or a package is missing.
    """
    if not isinstance(names, Collection):
        raise GratisError(f"log: needs the names of loggers, not {brief(names)}")
    listed = [names] if isinstance(names, str) else list(names)
    for name in listed:
        if name not in PACKAGES:
            hint = did_you_mean(name, list(NAMES)) if isinstance(name, str) else ""
            raise GratisError(f"log: no logger {brief(name)}{hint}")
        if missing(name):
            raise GratisError(
                f"log: {name} needs the extra {name!r}; install it: pip install 'gratis[{name}]'"
            )
    return tuple(dict.fromkeys(listed))


def missing(name: str) -> list[str]:
    """Return the packages of a logger that are not installed."""
    return [package for package in PACKAGES[name] if find_spec(package) is None]
