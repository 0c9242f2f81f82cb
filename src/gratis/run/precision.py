"""The precision in which a device trains fastest."""

from collections.abc import Callable
from typing import Literal

import torch

Precision = Literal["32-true", "bf16-mixed"]

# Not public in torch, and missing in some versions.
_CPU_PROBES = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")


def fastest_precision() -> Precision:
    """Return ``bf16-mixed`` if the device computes with bfloat16 in hardware."""
    if torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = any(_probe(name) for name in _CPU_PROBES)
    return "bf16-mixed" if native else "32-true"


def _probe(name: str) -> bool:
    probe: Callable[[], bool] = getattr(torch.cpu, name, lambda: False)
    return probe()
