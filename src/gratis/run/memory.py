"""Whether the memory of the device holds what an adversary keeps for every training image."""

from contextlib import suppress
from pathlib import Path

import torch

from gratis.data import Dataset
from gratis.errors import GratisError
from gratis.objective import Objective
from gratis.ranks import world_size
from gratis.recipe import Recipe

_GIB = 2**30
_MEMINFO = Path("/proc/meminfo")
# The limit and the use of the container that this process is in, without one those of the machine.
_LIMIT, _USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def kept_bytes(recipe: Recipe, dataset: Dataset) -> int:
    """Return how many bytes the adversary of a recipe keeps for all training images."""
    views = Objective(recipe.terms).views
    return recipe.adversary_settings.kept_bytes(len(dataset.train), views, dataset.size)


def describe_kept(recipe: Recipe, dataset: Dataset) -> str:
    """Return a line about that memory; empty if the adversary keeps nothing."""
    needed = kept_bytes(recipe, dataset)
    if not needed:
        return ""
    return (
        f"memory: {_word(recipe)} keeps a delta for every training image, {_size(needed)} on each "
        "device and in every checkpoint (adversary, data.size)"
    )


def refuse_too_little_memory(recipe: Recipe, dataset: Dataset, device: torch.device) -> None:
    """Refuse an adversary that keeps more than the device can hold, before training begins.

    The memory of a CPU is given out when it is first written: the system would end the process
    after hours, in the first epoch.

    Raises:
        GratisError: the memory does not suffice.
    """
    needed, free = kept_bytes(recipe, dataset), available_bytes(device)
    # The ranks on a CPU share its memory.
    ranks = world_size() if device.type == "cpu" else 1
    if not needed or free is None or needed * ranks <= free:
        return
    each = f" for each of {ranks} processes" if ranks > 1 else ""
    raise GratisError(
        f"adversary.{_word(recipe)}: a delta for every one of {len(dataset.train):,} training "
        f"images of {dataset.size} px takes {_size(needed)}{each}, and {device.type} has "
        f"{_size(free)} free; use adversary=free, which keeps one for each place in a batch, or "
        "lower data.size or data.classes"
    )


def available_bytes(device: torch.device) -> int | None:
    """Return how much memory a device has left; ``None`` if the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    found: list[int] = []
    # Linux only, and a limit only in a container that has one.
    with suppress(OSError, ValueError, StopIteration):
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        found.append(next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable")))
    with suppress(OSError, ValueError):
        limit, used = (int(path.read_text(encoding="ascii")) for path in (_LIMIT, _USED))
        found.append(max(limit - used, 0))
    return min(found, default=None)


def _word(recipe: Recipe) -> str:
    (word,) = recipe.adversary.chosen()
    return word


def _size(count: int) -> str:
    return f"{count / _GIB:,.1f} GiB" if count >= _GIB / 10 else f"{count / 2**20:,.1f} MiB"
