"""The device of a run and its fastest precision; versions and commit."""

import platform
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import torch

Precision = Literal["32-true", "bf16-mixed"]

# Not public in torch, and missing in some versions.
_CPU_PROBES = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
PACKAGES = ("gratis", "torch", "torchvision", "timm", "numpy", "lightning-fabric")


def device_name(device: torch.device) -> str:
    """Return the device as text, with the number of threads on a CPU."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'' if threads == 1 else 's'}"


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


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the numbers depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def commit() -> str | None:
    """Return the commit of the source, marked if it has changed since; ``None`` if unknown."""
    # An installed package may be inside the checkout of another project.
    if _git("ls-files", "--error-unmatch", __file__) is None:
        return None
    return _git("describe", "--always", "--dirty", "--abbrev=12", "--match=")


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
