"""Start the processes of a run, one for each device, and find those that were started already."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import distributed

from gratis import progress
from gratis.errors import GratisError
from gratis.ranks import is_first, world_size

# What launchers of processes set: torchrun, and SLURM's srun.
_LAUNCHERS = ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS")


@contextmanager
def launched(devices: int | None, nodes: int = 1) -> Iterator[None]:
    """Run the block on several devices, in one process each.

    The process that calls this starts the others, which run the command of this process. Below
    ``torchrun`` or ``srun`` they exist already. Rank 0 alone prints.

    Args:
        devices: the number of devices on this machine; on CPUs, of processes. Default: one, or as
            many as the launcher started.
        nodes: the number of machines, where a launcher started the processes.

    Raises:
        GratisError: there are not as many devices, or the processes do not find each other.
    """
    started = int(os.environ.get("WORLD_SIZE", os.environ.get("SLURM_NTASKS", "1")))
    external = started > 1 and any(name in os.environ for name in _LAUNCHERS)
    if devices in (None, 1) and not external:
        yield
        return
    here = devices or int(os.environ.get("LOCAL_WORLD_SIZE", started // nodes))
    try:
        fabric_of_ranks("32-true", here, nodes).launch()
    except (RuntimeError, ValueError) as error:
        raise GratisError(f"--devices: {error}") from error
    try:
        if not is_first():
            logging.getLogger("gratis").setLevel(logging.CRITICAL)
            progress.show_bars(False)
        yield
    except RuntimeError as error:
        if not _is_connection_lost(error):
            raise
        if not is_first():
            raise SystemExit(1) from error
        raise GratisError(
            "another process of this run has ended; continue with the same command"
        ) from error
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _is_connection_lost(error: RuntimeError) -> bool:
    """Return whether an exchange failed because another process is gone."""
    lost = ("Connection closed", "Connection reset", "Broken pipe", "Connection refused")
    return isinstance(error, distributed.DistError) or any(text in str(error) for text in lost)


Precision = Literal["32-true", "bf16-mixed"]


def fabric_of_ranks(precision: Precision, devices: int, nodes: int) -> Fabric:
    """Return a fabric for one process of several, which exchange gradients."""
    # Batch norm is synchronised, so that its buffers are alike already.
    strategy = DDPStrategy(broadcast_buffers=False)
    return Fabric(
        accelerator="auto", devices=devices, num_nodes=nodes, strategy=strategy, precision=precision
    )


def build_fabric(precision: Precision) -> Fabric:
    """Return the fabric of this process: one device, or its part of those that were launched."""
    if world_size() == 1:
        return Fabric(accelerator="auto", devices=1, precision=precision)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]))
    fabric = fabric_of_ranks(precision, here, world_size() // here)
    fabric.launch()
    return fabric
