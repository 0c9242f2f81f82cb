import pytest

from gratis.settings import validate
from gratis.study.outcome import StudyResults, VariantResults
from gratis.study.settings import Study


@pytest.fixture
def study():
    """A study of two variants with one claim."""

    def make(**changes):
        content = {
            "name": "small",
            "title": "small: a | b",
            "recipe": "free",
            "variants": {"a": {}, "b": {"title": "the <other>"}},
            "claims": [
                {
                    "paper": "b is better.",
                    "expects": [
                        {"expect": "higher", "metric": metric, "of": "b", "than": "a"}
                        for metric in ("clean", "pgd")
                    ],
                }
            ],
        }
        return validate(Study, content | changes, "study")

    return make


@pytest.fixture
def measured():
    """Make results from the values of each variant, by metric and seed."""

    def make(**variants):
        return StudyResults(
            study="small",
            profile="digits",
            command="gratis study small",
            header="digits.",
            seeds=len(next(iter(next(iter(variants.values())).values()))),
            variants={
                name: VariantResults(recipe="free", passes=1e3, seconds=2.0, values=values)
                for name, values in variants.items()
            },
        )

    return make
