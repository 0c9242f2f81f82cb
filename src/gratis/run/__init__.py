"""Runs: from a recipe to the objects it describes, to a folder of results."""

from gratis.run.evaluation import build_sets, evaluate_run, load_run, rescore_run
from gratis.run.external import ModelSource, evaluate_external, evaluate_model
from gratis.run.reproduction import correct_by_seed, reproduce, rows_of
from gratis.run.timing import Timing, time_recipe
from gratis.run.training import resume, train

__all__ = [
    "ModelSource",
    "Timing",
    "build_sets",
    "correct_by_seed",
    "evaluate_external",
    "evaluate_model",
    "evaluate_run",
    "load_run",
    "reproduce",
    "rescore_run",
    "resume",
    "rows_of",
    "time_recipe",
    "train",
]
