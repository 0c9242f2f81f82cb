"""What an evaluation found: schema, measurement, sample images and statistics, without torch."""

from gratis.results.examples import Examples
from gratis.results.expected import effective_images, expected_accuracy
from gratis.results.frontier import Frontier, FrontierPoint, choose
from gratis.results.held_out_images import HeldOutImages
from gratis.results.measurement import Measurement
from gratis.results.overfitting import overfitted, pgd_fell
from gratis.results.sample_images import (
    AtEpsilon,
    Prediction,
    SampleAttack,
    SampleImage,
    SampleImages,
)
from gratis.results.schema import (
    METRICS,
    Before,
    Check,
    Paper,
    Results,
    TaskResult,
    WeightsFile,
    accuracy_curve,
)
from gratis.results.statistics import (
    clearly_above_chance,
    difference,
    mcnemar,
    mean_and_std,
    paired_t_test,
    t_interval,
    wilson,
)

__all__ = [
    "METRICS",
    "AtEpsilon",
    "Before",
    "Check",
    "Examples",
    "Frontier",
    "FrontierPoint",
    "HeldOutImages",
    "Measurement",
    "Paper",
    "Prediction",
    "Results",
    "SampleAttack",
    "SampleImage",
    "SampleImages",
    "TaskResult",
    "WeightsFile",
    "accuracy_curve",
    "choose",
    "clearly_above_chance",
    "difference",
    "effective_images",
    "expected_accuracy",
    "mcnemar",
    "mean_and_std",
    "overfitted",
    "paired_t_test",
    "pgd_fell",
    "t_interval",
    "wilson",
]
