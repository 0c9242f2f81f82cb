"""How good a model is: suites of metrics, frozen perturbed sets, and the statistics around them.

The names below load their module on first use, so that a report, which needs the statistics
only, does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gratis.evaluate.statistics import mcnemar, mean_and_std, sign_flip, t_interval, wilson

if TYPE_CHECKING:
    from gratis.evaluate.cascade import measure
    from gratis.evaluate.examples import Examples, rescore
    from gratis.evaluate.manifest import Manifest
    from gratis.evaluate.measurement import Measurement
    from gratis.evaluate.perturbed_sets import PerturbedSets, build, load, made_from
    from gratis.evaluate.suites import SUITES, EvaluateSettings, require_libraries

__all__ = [
    "SUITES",
    "EvaluateSettings",
    "Examples",
    "Manifest",
    "Measurement",
    "PerturbedSets",
    "build",
    "load",
    "made_from",
    "mcnemar",
    "mean_and_std",
    "measure",
    "require_libraries",
    "rescore",
    "sign_flip",
    "t_interval",
    "wilson",
]

_HOMES = {
    "cascade": ("measure",),
    "examples": ("Examples", "rescore"),
    "manifest": ("Manifest",),
    "measurement": ("Measurement",),
    "perturbed_sets": ("PerturbedSets", "build", "load", "made_from"),
    "suites": ("SUITES", "EvaluateSettings", "require_libraries"),
}


def __getattr__(name: str) -> Any:
    """Import the module that defines ``name``, and return what it means there."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
