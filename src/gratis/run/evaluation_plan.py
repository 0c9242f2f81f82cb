"""What an external model is evaluated on."""

from pathlib import Path
from typing import NamedTuple

from gratis.data import Dataset
from gratis.evaluation import EvaluateSettings
from gratis.results import WeightsFile


class EvaluationPlan(NamedTuple):
    """What a model is evaluated on, and how; ``name`` is the model's, for results and messages."""

    name: str
    dataset: Dataset  # only its validation images are evaluated
    settings: EvaluateSettings
    seed: int = 0
    # Perturbed sets. Without them the geometric set is made, which skips the transfer metrics.
    sets: Path | None = None
    weights: WeightsFile | None = None
    code: str = ""  # the digest of the file of the function that made the model
    # Use outcomes of an earlier process although the model has state that cannot be read.
    reuse: bool = False
