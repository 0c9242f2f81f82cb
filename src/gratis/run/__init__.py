"""Workflows: train, harden, evaluate, reproduce."""

from gratis.run.evaluation import evaluate_run, rescore_run
from gratis.run.evaluation_plan import EvaluationPlan
from gratis.run.external import (
    as_in_training,
    evaluate_model,
    evaluate_source,
    refuse_other_classes,
)
from gratis.run.folder import RunFolder
from gratis.run.hardened_recipe import Hardening, HardeningAdversary, hardened_recipe
from gratis.run.launch import launched
from gratis.run.loading import load_once, load_run
from gratis.run.model_argument import initial_model_settings, initial_weight_overrides
from gratis.run.reproduction import correct_by_seed, make_sets, reproduce, rows_of, run_path
from gratis.run.sources import ModelSource
from gratis.run.timing import Timing, time_recipe
from gratis.run.training import resume, train, train_on_other_rank
from gratis.run.validation_sets import build_sets

__all__ = [
    "EvaluationPlan",
    "Hardening",
    "HardeningAdversary",
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
    "initial_model_settings",
    "initial_weight_overrides",
    "launched",
    "load_once",
    "load_run",
    "make_sets",
    "refuse_other_classes",
    "reproduce",
    "rescore_run",
    "resume",
    "rows_of",
    "run_path",
    "time_recipe",
    "train",
    "train_on_other_rank",
]
