"""Robust image classifiers at the price of ordinary training.

::

    import gratis

    run = gratis.train("contrastive-scheduled", data="folder:~/pets", budget="20m")
    model = gratis.load(run)
    print(gratis.evaluate(model, images, labels, epsilon="8/255"))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gratis.adversary.cached import CachedFreeAT
    from gratis.adversary.fgsm_rs import FGSMRS
    from gratis.adversary.free import FreeAT
    from gratis.adversary.multi_norm import MultiNormFreeAT
    from gratis.adversary.n_fgsm import NFGSM
    from gratis.adversary.pgd import PGDAT
    from gratis.api.attacking import attack
    from gratis.api.evaluation import evaluate
    from gratis.api.exporting import export
    from gratis.api.hardening import harden
    from gratis.api.loading import load
    from gratis.api.prediction import predict
    from gratis.api.training import train
    from gratis.errors import GratisError
    from gratis.results import Results
    from gratis.schedule import cosine, linear, steps, warm_up

__all__ = [
    "FGSMRS",
    "NFGSM",
    "PGDAT",
    "CachedFreeAT",
    "FreeAT",
    "GratisError",
    "MultiNormFreeAT",
    "Results",
    "attack",
    "cosine",
    "evaluate",
    "export",
    "harden",
    "linear",
    "load",
    "predict",
    "steps",
    "train",
    "warm_up",
]

# Every name is imported on first use (PEP 562), so that ``gratis --help`` does not wait for torch.
_MODULES = {
    "gratis.adversary.cached": ("CachedFreeAT",),
    "gratis.adversary.fgsm_rs": ("FGSMRS",),
    "gratis.adversary.free": ("FreeAT",),
    "gratis.adversary.multi_norm": ("MultiNormFreeAT",),
    "gratis.adversary.n_fgsm": ("NFGSM",),
    "gratis.adversary.pgd": ("PGDAT",),
    "gratis.api.attacking": ("attack",),
    "gratis.api.evaluation": ("evaluate",),
    "gratis.api.exporting": ("export",),
    "gratis.api.hardening": ("harden",),
    "gratis.api.loading": ("load",),
    "gratis.api.prediction": ("predict",),
    "gratis.api.training": ("train",),
    "gratis.errors": ("GratisError",),
    "gratis.results": ("Results",),
    "gratis.schedule": ("cosine", "linear", "steps", "warm_up"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name on first use.

    Raises:
        AttributeError: there is no such name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
