"""The project uses the field's words: the ones that it gave up must not come back.

``GIVEN_UP`` maps each word to the one in use. A file is split into words, so that ``LegState``,
``leg_of`` and "a leg" all contain the word "leg".
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FILES = sorted(
    path
    for pattern in (
        "src/**/*.py",
        "src/**/*.yaml",
        "src/**/*.jinja",
        "src/**/*.js",
        "README.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "docs/*.md",
        "docs/reference/*.md",
        "docs/results/README.md",
        "examples/*.ipynb",
        "examples/**/*.py",
        "benchmarks/**/*.py",
        "scripts/**/*.py",
    )
    for path in ROOT.glob(pattern)
)

GIVEN_UP = {
    "room": "package",
    "floor": "layer",
    "house": "package",
    "leg": "fit",
    "learner": "TrainState",
    "leaf": "PerturbedInput",
    "trouble": "divergence",
    "decision": "event",
    "diary": "JSON-lines log",
    "exhibit": "sample images",
    "showing": "sample images",
    "watch": "monitor",
    "cadence": "save policy",
    "sealed": "checkpoint file",
    "climb": "pgd_step",
    "subject": "EvaluatedModel",
    "trial": "EvalTask",
    "ascent": "GradientAttack",
    "portion": "ImageBatch",
    "stood": "survived",
    "standing": "surviving",
    "withstood": "survived",
    "fallen": "fooled",
    "fitness": "model validation",
    "honesty": "sanity checks",
    "foreign": "external",
    "elsewhere": "external",
    "catalogue": "packaged recipes",
    "contract": "base",
    "corner": "bound",
    "unsaid": "default",
    "verdict": "outcome of an attack, summary of a report",
    "whoever": "the caller",
    "somebody": "the user",
}
PHRASES = {
    r"\.apart\b|\bapart=": "standalone",
    r"\bBall\b": "LpBall",
    r"\bHalving\b": "MicroBatching",
    r"\bclass (Still|Portion)\b": "FixedSet, ImageBatch",
    r"\b(?:models?|images?|it|what) stands(?! (?:for|beside|in)\b)": "survives",
    r"\b(?:models?|images?|it|what) falls\b": "is fooled",
    r"\b(?:norm|epsilon|L2|L-infinity|L-inf) budgets?\b": "epsilon, norm ball",
    r"\b(?:def look|climb|say)\(": "loss_gradient, pgd_step, logging",
    r"\b(?:does|do) not do\b": "out of memory",
    r"\bmay come again\b": "repeatable",
    r"\bof its own accord\b|\bof late\b": "plain English",
    r"adversary: \{?fgsm\b": "n_fgsm, fgsm_rs",
    r"\bbuilds_on\b|\bversus:": "compare_with",
    r"\b(?:monitor_every|log_every|checkpoint_minutes)\b": "the name with its unit",
    r"\bharden\.adapt\b|\bin_parts\b": "natural_training, micro-batches",
    r"\b(?:comes?|came) on top\b|\bwhoever\b": "takes additional time, if",
}
OLD_KEYS = [
    "builds_on",
    "monitor_every(?!_)",
    "log_every(?!_)",
    "checkpoint_minutes",
    r"harden\.adapt",
]
# Legitimate uses, which are removed before a file is checked.
ALLOWED = {
    # PyTorch's names and words, and the name of a page.
    "*": [r"leaf tensors?", r"is_leaf", r"align_corners", r"\bfloor_?\(", r"gradient ascent"],
    # import-linter's word, and optuna's.
    "CONTRIBUTING.md": [r"contracts?"],
    "scripts/search.py": [r"(?i)trials?"],
    "docs/record.md": [r"(?i)trials?"],
    # The old names that this release accepts.
    "src/gratis/renames.py": [r"watch_every", *OLD_KEYS],
    "docs/recipes.md": [r"watch_every", r"adversary: \{?fgsm", *OLD_KEYS],
}


def words(text: str) -> set[str]:
    """Return the words of a text, in lower case and in the singular."""
    found = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)}
    return (
        found | {word.removesuffix("s") for word in found} | {w.removesuffix("es") for w in found}
    )


def given_up(path: str, text: str) -> list[str]:
    """Return the given-up words and phrases in a text."""
    for pattern in [*ALLOWED["*"], *ALLOWED.get(path, ())]:
        text = re.sub(pattern, "", text)
    found = sorted(words(text) & GIVEN_UP.keys())
    return found + [match[0] for phrase in PHRASES for match in re.finditer(phrase, text)]


def paths() -> dict[str, Path]:
    return {path.relative_to(ROOT).as_posix(): path for path in FILES}


@pytest.mark.parametrize("path", paths())
def test_a_file_uses_the_words_of_the_field(path):
    found = given_up(path, paths()[path].read_text(encoding="utf-8"))
    assert not found, f"{path}: {', '.join(found)}; see GIVEN_UP and PHRASES for the words to use"


@pytest.mark.parametrize("path", [path for path in ALLOWED if path != "*"])
def test_every_allowance_of_a_file_is_needed(path):
    text = paths()[path].read_text(encoding="utf-8")
    assert [pattern for pattern in ALLOWED[path] if not re.search(pattern, text)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("class LegState", ["leg"]),
        ("old_leg = 1", ["leg"]),
        ("two legs and a leaf tensor", ["leg"]),
        ("legend, flooring, watchful", []),
        ("run `watch_every`", ["watch"]),
        ("within the epsilon budget", ["epsilon budget"]),
        ("apart from this, a norm ball", []),
        ("Ball(2)", ["Ball"]),
        ("say('x')", ["say("]),
    ],
)
def test_given_up_words_are_found(text, found):
    assert given_up("any", text) == found
