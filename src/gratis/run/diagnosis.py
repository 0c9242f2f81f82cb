"""What this machine has for gratis: device, versions, caches, and what is missing."""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from gratis.data.cache import CACHE_REMEDY, cache_folder
from gratis.loggers.names import PACKAGES
from gratis.run.machine import commit, device_name, fastest_precision, versions

# Optional packages, by the extra that installs them and what they are for.
_EXTRAS = {
    "full": (("kornia", "pyautoattack"), "the suites autoattack and full"),
    "onnx": (("onnx", "onnxruntime", "onnxscript"), "ONNX files"),
    "hf": (("datasets",), "data sets of the Hugging Face hub (hf:NAME)"),
    "play": (("gradio",), "gratis play"),
    **{name: (packages, f"--log {name}") for name, packages in PACKAGES.items()},
}
_GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One fact about the machine; ``remedy`` says what to do where something is missing."""

    name: str
    value: str
    remedy: str = ""


def diagnose() -> list[Finding]:
    """Return what this machine has, and what is missing. Nothing is written."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = versions()
    return [
        Finding("gratis", f"{found.pop('gratis')} ({commit() or 'no checkout'})"),
        Finding("device", device_name(device)),
        *_threads(device),
        Finding("fastest precision", fastest_precision()),
        Finding("versions", ", ".join(f"{name} {version}" for name, version in found.items())),
        *(_extra(name, *content) for name, content in _EXTRAS.items()),
        _cache(),
        _weights(),
    ]


def _threads(device: torch.device) -> list[Finding]:
    if device.type != "cpu":
        return []
    used, cores = torch.get_num_threads(), len(os.sched_getaffinity(0)) if _has_affinity() else 0
    cores = cores or os.cpu_count() or 1
    remedy = "set OMP_NUM_THREADS to the number of free cores" if used != cores else ""
    return [Finding("threads", f"{used} of {cores} cores", remedy)]


def _has_affinity() -> bool:
    return hasattr(os, "sched_getaffinity")


def _extra(name: str, packages: tuple[str, ...], purpose: str) -> Finding:
    missing = [package for package in packages if find_spec(package) is None]
    if not missing:
        return Finding(f"extra {name}", f"installed, for {purpose}")
    remedy = f"pip install 'gratis[{name}]'"
    return Finding(f"extra {name}", f"{', '.join(missing)} missing, for {purpose}", remedy)


def _cache() -> Finding:
    folder = cache_folder()
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    free = shutil.disk_usage(existing).free / _GIB
    value = f"{folder}, {_bytes(folder) / _GIB:.2f} GiB used, {free:.1f} GiB free"
    return Finding("cache", value, "" if os.access(existing, os.W_OK) else CACHE_REMEDY)


def _weights() -> Finding:
    """Return the pretrained weights that timm has downloaded."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    names = sorted(path.name.removeprefix("models--timm--") for path in hub.glob("models--timm--*"))
    if names:
        used = sum(_bytes(path) for path in hub.glob("models--timm--*"))
        value = f"{', '.join(names)} in {hub}, {used / _GIB:.2f} GiB used"
        return Finding("pretrained weights", value)
    remedy = "timm downloads them on first use; without a network set model.weights=FILE"
    return Finding("pretrained weights", f"none in {hub}", remedy)


def _bytes(folder: Path) -> int:
    """Return how many bytes the files below a folder have; links are not followed."""
    found = (Path(where) / name for where, _, names in os.walk(folder) for name in names)
    sizes = 0
    for path in found:
        # Another process may have removed it.
        with suppress(OSError):
            sizes += path.lstat().st_size
    return sizes
