"""How good a model is: suites of tasks, and checks of whether their accuracies can be trusted."""

from gratis.evaluation.examples import rescore
from gratis.evaluation.measure import measure
from gratis.evaluation.suites import SUITES, EvaluateSettings, require_libraries

__all__ = ["SUITES", "EvaluateSettings", "measure", "require_libraries", "rescore"]
