"""Start the processes of a run, one for each device, and find those that were started already."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import distributed

from gratis import progress
from gratis.errors import GratisError
from gratis.ranks import is_first, joined, world_size

Precision = Literal["32-true", "bf16-mixed"]


@contextmanager
def launched(devices: int | None) -> Iterator[None]:
    """Run the block on several devices, in one process each.

    The process that calls this starts the others, which run the command of this process. Below
    ``torchrun`` or ``srun`` they exist already. Rank 0 alone prints.

    Args:
        devices: the number of devices on this machine; on CPUs, of processes. Default: one, or as
            many as the launcher started.

    Raises:
        GratisError: there are not as many devices, or the processes do not find each other; or, in
            the block, another process has ended.
    """
    here, nodes = _started() or (1, 1)
    here = devices or here
    if here * nodes == 1:
        yield
        return
    try:
        _fabric("32-true", here, nodes).launch()
    except (RuntimeError, ValueError, MisconfigurationException) as error:
        raise GratisError(f"--devices {here}: {error}") from error
    try:
        with joined():
            if not is_first():
                logging.getLogger("gratis").setLevel(logging.CRITICAL)
                progress.show_bars(False)
            with _lost_connections_named():
                yield
    finally:
        distributed.destroy_process_group()


@contextmanager
def _lost_connections_named() -> Iterator[None]:
    """End with one message, of the first rank, when another process is gone."""
    try:
        yield
    except RuntimeError as error:
        if not _is_connection_lost(error):
            raise
        if not is_first():
            raise SystemExit(1) from error
        raise GratisError(
            "another process of this run has ended; continue with the same command"
        ) from error


def _is_connection_lost(error: RuntimeError) -> bool:
    lost = ("Connection closed", "Connection reset", "Broken pipe", "Connection refused")
    return isinstance(error, distributed.DistError) or any(text in str(error) for text in lost)


def build_fabric(precision: Precision) -> Fabric:
    """Return the fabric of this process: one device, or its part of those that were launched."""
    if world_size() == 1:
        return Fabric(accelerator="auto", devices=1, precision=precision)
    fabric = _fabric(precision, *(_started() or (world_size(), 1)))
    # The processes exist; this only connects the fabric with them.
    fabric.launch()
    return fabric


def own_device() -> torch.device:
    """Return the device of this process."""
    return build_fabric("32-true").device


def _fabric(precision: Precision, devices: int, nodes: int) -> Fabric:
    """Return a fabric for one process of several, which exchange gradients."""
    # Batch norm is synchronised, so that its buffers are alike already.
    strategy = DDPStrategy(broadcast_buffers=False)
    return Fabric(
        accelerator="auto", devices=devices, num_nodes=nodes, strategy=strategy, precision=precision
    )


def _started() -> tuple[int, int] | None:
    """Return on how many devices a machine, and machines, a launcher started processes."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        return here, int(os.environ["WORLD_SIZE"]) // here
    # Set by srun alone: in a batch script without it there is one process.
    if "SLURM_STEP_NUM_TASKS" in os.environ:
        nodes = int(os.environ["SLURM_STEP_NUM_NODES"])
        return int(os.environ["SLURM_STEP_NUM_TASKS"]) // nodes, nodes
    return None
