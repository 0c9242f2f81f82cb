"""Workflows: train, harden, evaluate, reproduce."""

from gratis.run.evaluation import evaluate_run, rescore_run
from gratis.run.external import (
    as_in_training,
    evaluate_model,
    evaluate_source,
    refuse_other_classes,
)
from gratis.run.folder import RunFolder
from gratis.run.hardened_recipe import Adversary, Hardening, hardened_recipe
from gratis.run.loading import load_once, load_run
from gratis.run.plan import EvaluationPlan
from gratis.run.reproduction import correct_by_seed, make_sets, reproduce, rows_of, run_path
from gratis.run.sets import build_sets
from gratis.run.sources import ModelSource
from gratis.run.start import start_overrides, start_settings
from gratis.run.timing import Timing, time_recipe
from gratis.run.training import resume, train

__all__ = [
    "Adversary",
    "EvaluationPlan",
    "Hardening",
    "ModelSource",
    "RunFolder",
    "Timing",
    "as_in_training",
    "build_sets",
    "correct_by_seed",
    "evaluate_model",
    "evaluate_run",
    "evaluate_source",
    "hardened_recipe",
    "load_once",
    "load_run",
    "make_sets",
    "refuse_other_classes",
    "reproduce",
    "rescore_run",
    "resume",
    "rows_of",
    "run_path",
    "start_overrides",
    "start_settings",
    "time_recipe",
    "train",
]
