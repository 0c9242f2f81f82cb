"""MLflow: at MLFLOW_TRACKING_URI, or in a database beside the run's folder."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gratis.loggers.base import LoggedRun, Logger
from gratis.loggers.lines import Entry

# Before mlflow is imported: it must say soon that a server does not answer. What was not sent is
# sent again later.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

DATABASE, ARTIFACTS = "mlflow.db", "mlflow-artifacts"
# What a server accepts in one request, and the longest value of a parameter.
_METRICS, _PARAMETERS, _LONGEST = 1000, 100, 500

Item = TypeVar("Item")


class Mlflow(Logger):
    """A run in MLflow."""

    @classmethod
    def target(cls, folder: Path) -> str:
        """Return the address of the server or of the database."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.parent / DATABASE}"

    def __init__(self, run: LoggedRun, target: str, resumed: str | None) -> None:
        """Open the run with the identity ``resumed``, or create one with the recipe."""
        self._client = MlflowClient(target)
        self.where = f"look at the run with: mlflow ui --backend-store-uri {target}"
        if target.startswith("http"):
            self.where = f"the run is at {target}"
        if resumed is not None:
            self.run = resumed
            self._client.update_run(resumed, status="RUNNING")
            return
        experiment = _experiment(self._client, run.folder, target)
        self.run = self._client.create_run(experiment, run_name=run.folder.name).info.run_id
        parameters = [Param(k, str(v)[:_LONGEST]) for k, v in _flat(run.recipe)]
        for some in _pieces(parameters, _PARAMETERS):
            self._client.log_batch(self.run, params=some)
        # Not recipe.yaml, which would make the folder of artifacts look like that of a run.
        self._client.log_text(self.run, run.recipe_text, "resolved-recipe.yaml")

    def scalars(self, entries: Sequence[Entry]) -> None:
        """Log the values of several steps."""
        now = int(1000 * time.time())
        metrics = [Metric(k, v, now, step) for step, values in entries for k, v in values.items()]
        for some in _pieces(metrics, _METRICS):
            self._client.log_batch(self.run, metrics=some)

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int, caption: str) -> None:
        """Log an image."""
        self._client.log_image(self.run, pixels, key=name, step=step)

    def close(self, complete: bool) -> None:
        """Mark the run as finished, or as stopped."""
        self._client.set_terminated(self.run, "FINISHED" if complete else "KILLED")


def _experiment(client: MlflowClient, folder: Path, target: str) -> str:
    """Return the identity of the experiment, which is created if it does not exist."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "gratis")
    found = client.get_experiment_by_name(name)
    if found is None:
        own = target.startswith("sqlite:") and "MLFLOW_TRACKING_URI" not in os.environ
        where = (folder.parent / ARTIFACTS).as_uri() if own else None
        try:
            return str(client.create_experiment(name, where))
        except MlflowException:
            # Another process may have created it in between.
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _pieces(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
