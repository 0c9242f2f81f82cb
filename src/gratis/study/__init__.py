"""Studies: each side claim of the paper as a few recipes that differ in one thing.

A study is one YAML file in ``gratis/studies``: its variants, and what the paper claims of them.
"""

from gratis.study.claims import claims_page
from gratis.study.outcome import StudyResults, read_results
from gratis.study.page import study_page, write_study
from gratis.study.running import run_study
from gratis.study.settings import load_study

__all__ = [
    "StudyResults",
    "claims_page",
    "load_study",
    "read_results",
    "run_study",
    "study_page",
    "write_study",
]
