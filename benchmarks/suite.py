"""All contests, in the order of the table."""

from collections.abc import Sequence

from benchmarks import (
    augmentation,
    curves,
    free_pass,
    memory,
    reading,
    script_loop,
    training,
)
from benchmarks.base import Contest

SUBJECTS = (training, script_loop, free_pass, augmentation, reading, curves, memory)
CONTESTS: list[Contest] = [contest for evaluated in SUBJECTS for contest in evaluated.CONTESTS]


def chosen(only: Sequence[str]) -> list[Contest]:
    """Return the contests of the subjects, or with the titles, in ``only``; all if it is empty.

    Raises:
        ValueError: there is none of that name.
    """
    known = {name for contest in CONTESTS for name in (contest.evaluated, contest.title)}
    if unknown := [name for name in only if name not in known]:
        raise ValueError(f"no benchmark {unknown[0]!r}; --help lists them")
    return [
        contest
        for contest in CONTESTS
        if not only or contest.evaluated in only or contest.title in only
    ]
