"""What a study measures of a trained model beyond the suites: one module each.

A module has ``measure(run)``, which returns numbers by name, and ``NAMES``, what those names mean.
The module's name is the word in a study. Numbers are in percent or in points of pixel value, so
that tables show them with one decimal.
"""

import importlib
import pkgutil
from typing import Protocol, cast

from gratis.study.measurements.base import MeasuredRun

__all__ = ["MEASUREMENTS", "MeasuredRun", "Measurement", "measurement"]


class Measurement(Protocol):
    """A module of this package."""

    NAMES: dict[str, str]

    def measure(self, run: MeasuredRun) -> dict[str, float]:
        """Return the measured numbers by name."""
        ...


MEASUREMENTS: tuple[str, ...] = tuple(
    module.name for module in pkgutil.iter_modules(__path__) if module.name != "base"
)


def measurement(name: str) -> Measurement:
    """Return a measurement by the name of its module."""
    return cast(Measurement, importlib.import_module(f"{__name__}.{name}"))
