"""What an external model is evaluated on."""

from pathlib import Path
from typing import NamedTuple

from gratis.data import Dataset
from gratis.evaluation import EvaluateSettings


class EvaluationPlan(NamedTuple):
    """What a model is evaluated on, and how.

    Attributes:
        name: the model's name in results and messages.
        dataset: the data; only its validation images are evaluated.
        settings: suite, epsilon and so on.
        seed: the seed of everything random.
        sets: perturbed validation sets. Default: the geometric set is made, which skips the
            transfer metrics.
    """

    name: str
    dataset: Dataset
    settings: EvaluateSettings
    seed: int = 0
    sets: Path | None = None
