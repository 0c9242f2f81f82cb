"""What a study says of a claim: does it hold?"""

from typing import Literal, NamedTuple

from gratis.report import Paired, as_p
from gratis.study.outcome import StudyResults
from gratis.study.settings import Claim, Expectation, Study

SIGNIFICANT = 0.05
Word = Literal["holds", "holds in part", "does not hold", "not shown", "not measured yet"]
_Finding = Literal["as claimed", "the opposite", "not shown"]


class Conclusion(NamedTuple):
    """The conclusion on a claim: one or a few words, and the sentence with the numbers."""

    word: Word
    sentence: str


def conclude(claim: Claim, study: Study, results: StudyResults | None) -> Conclusion:
    """Return the conclusion on a claim.

    Each expectation is tested by the paired t-test over the seeds at p < 0.05. The claim holds if
    all of them are found, and holds in part if some are while others were not, or not measured. It
    does not hold if none is found and the opposite of at least one is. Otherwise, and with one
    seed, it is not shown.
    """
    if results is None:
        return Conclusion("not measured yet", "")
    tested = [(e, results.compare(e.of, e.than, e.metric)) for e in claim.expects]
    measured = [(e, line) for e, line in tested if line is not None]
    if not measured:
        return Conclusion("not measured yet", "")
    findings = [_finding(e, line) for e, line in measured]
    parts = [
        f"{_in_words(e, line, study)}, {finding}"
        for (e, line), finding in zip(measured, findings, strict=True)
    ]
    word = _word(findings)
    if word == "holds" and len(measured) < len(tested):
        word = "holds in part"
    return Conclusion(word, "; ".join(parts))


def _word(findings: list[_Finding]) -> Word:
    if all(finding == "as claimed" for finding in findings):
        return "holds"
    if "as claimed" in findings:
        return "holds in part"
    return "does not hold" if "the opposite" in findings else "not shown"


def _finding(expected: Expectation, line: Paired) -> _Finding:
    if line.low is None or line.high is None:
        return "not shown"
    if expected.expect == "same":
        return _same(expected.within, line.low, line.high)
    if line.p is None or line.p >= SIGNIFICANT:
        return "not shown"
    higher = line.difference > 0
    return "as claimed" if higher == (expected.expect == "higher") else "the opposite"


def _same(within: float, low: float, high: float) -> _Finding:
    """Two variants are the same if the whole interval of their difference is within bounds."""
    if -within < low and high < within:
        return "as claimed"
    return "the opposite" if low > within or high < -within else "not shown"


def _in_words(expected: Expectation, line: Paired, study: Study) -> str:
    of, than = study.title_of(expected.of), study.title_of(expected.than)
    numbers = [as_p(line.p)] if line.p is not None else []
    if line.low is not None:
        numbers.insert(0, f"95% interval {line.low:+.1f} to {line.high:+.1f}")
    if line.seeds == 1:
        numbers.append("one seed")
    return (
        f"{expected.metric} of “{of}” minus “{than}” {line.difference:+.1f} ({', '.join(numbers)})"
    )
