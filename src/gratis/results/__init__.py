"""What a run measured: the schema, the verdict on every image, and statistics; never torch."""

from gratis.results.examples import Examples
from gratis.results.measurement import Measurement
from gratis.results.sample_images import Exhibit, Guess, Picture, Showing
from gratis.results.schema import (
    METRICS,
    Check,
    Paper,
    Results,
    TaskResult,
    collapsed,
)
from gratis.results.statistics import mcnemar, mean_and_std, sign_flip, t_interval, wilson

__all__ = [
    "METRICS",
    "Check",
    "Examples",
    "Exhibit",
    "Guess",
    "Measurement",
    "Paper",
    "Picture",
    "Results",
    "Showing",
    "TaskResult",
    "collapsed",
    "mcnemar",
    "mean_and_std",
    "sign_flip",
    "t_interval",
    "wilson",
]
