"""Weights & Biases: offline in the folder ``wandb`` of the run, unless WANDB_MODE is ``online``."""

import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import wandb
from numpy.typing import NDArray

from gratis.loggers.base import LoggedRun, Logger
from gratis.loggers.lines import Entry

# Seconds to wait for a server: training does not wait for it.
_PATIENCE = "20"


class WeightsAndBiases(Logger):
    """A run in Weights & Biases."""

    @classmethod
    def target(cls, folder: Path) -> str:
        """Return the mode, the server and the project."""
        return f"{_mode()} {os.environ.get('WANDB_BASE_URL', '')} {_project()}"

    def __init__(self, run: LoggedRun, target: str, resumed: str | None) -> None:
        """Open the run with the identity ``resumed``, or a new one.

        Neither the code, nor what the machine is, nor how busy it is, is part of it.
        """
        self.run = resumed or uuid.uuid4().hex[:12]
        self._run = wandb.init(
            project=_project(),
            name=run.folder.name,
            dir=os.environ.get("WANDB_DIR", run.folder),
            id=self.run,
            resume="allow",
            config=dict(run.recipe),
            mode=cast("Any", _mode()),
            settings=wandb.Settings(
                silent=True,
                console="off",
                init_timeout=float(os.environ.get("WANDB_INIT_TIMEOUT", _PATIENCE)),
                disable_code=True,
                disable_git=True,
                disable_job_creation=True,
                x_disable_meta=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
            ),
        )
        if self._run.offline:
            local = Path(self._run.dir).parent
            self.where = f"nothing is sent (WANDB_MODE=online sends it); later: wandb sync {local}"
        else:
            self.where = f"the run is at {self._run.url}"
        # A step of its own: after a rollback steps come again, which its own may not.
        self._run.define_metric("*", step_metric="step")

    def scalars(self, entries: Sequence[Entry]) -> None:
        """Log the values of several steps."""
        for step, values in entries:
            self._run.log({"step": step, **values})

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int, caption: str) -> None:
        """Log an image with its caption."""
        self._run.log({"step": step, name: wandb.Image(pixels, caption=caption)})

    def close(self, complete: bool) -> None:
        """Finish the run, which a later process may resume."""
        self._run.finish(exit_code=0 if complete else 1)


def _project() -> str:
    return os.environ.get("WANDB_PROJECT", "gratis")


def _mode() -> str:
    return os.environ.get("WANDB_MODE") or "offline"
