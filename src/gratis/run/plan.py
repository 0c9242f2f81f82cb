"""What an external model is evaluated on."""

from pathlib import Path
from typing import NamedTuple

from gratis.data import Dataset
from gratis.evaluation import EvaluateSettings
from gratis.results import WeightsFile


class EvaluationPlan(NamedTuple):
    """What a model is evaluated on, and how.

    Attributes:
        name: the model's name in results and messages.
        dataset: the data; only its validation images are evaluated.
        settings: suite, epsilon and so on.
        seed: the seed of everything random.
        sets: perturbed validation sets. Default: the geometric set is made, which skips the
            transfer metrics.
        weights: the file of the model's weights.
        code: the digest of the file of the function that made the model.
        reuse: whether to use outcomes of an earlier process, although the model has state that
            cannot be read.
    """

    name: str
    dataset: Dataset
    settings: EvaluateSettings
    seed: int = 0
    sets: Path | None = None
    weights: WeightsFile | None = None
    code: str = ""
    reuse: bool = False
