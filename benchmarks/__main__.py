"""All benchmarks by one command: uv run python -m benchmarks --data-root DIR."""

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.base import Conditions, Contest
from benchmarks.harness import Record, about, held
from benchmarks.script_loop import top_of
from benchmarks.suite import CONTESTS, chosen
from benchmarks.tables import table
from benchmarks.worker import Failed
from gratis.files import write_json

DESCRIPTION = """\
Measure how near we come to the bare arithmetic, and how we stand beside others.

Every line of the table is a ratio of two things that take turns in one run, round after round:
the median of the rounds, the least and the greatest. What is compared gets equal time, a first
round warms up, and between its turns a process of its own stands still. A line's meaning is in the
docstring of its evaluated's module in benchmarks/. Where there is a GPU it is what is measured;
with CUDA_VISIBLE_DEVICES= it is the CPU. Linux only.
"""


def arguments() -> argparse.ArgumentParser:
    """Return what the command takes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="holds Tiny ImageNet")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="subjects, or lines")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="that count (default 5)")
    parser.add_argument(
        "--seconds", type=float, default=5.0, metavar="S", help="of a side's turn (default 5)"
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=torch.get_num_threads(),
        metavar="N",
        help="of everybody (default: torch's)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures")
    defaults = parser.parse_args([])
    parser.epilog = listed(defaults.rounds, defaults.seconds)
    return parser


def listed(rounds: int, seconds: float) -> str:
    """Return the names that ``--only`` takes, what each compares and how long it takes."""
    lines = [f"What there is, and about how long it takes with {rounds} rounds of {seconds:g} s:\n"]
    for contest in CONTESTS:
        minutes = (rounds + 1) * contest.lasts(seconds) / 60
        lines.append(f"  {contest.title:<31} {minutes:4.1f} min")
        for line in contest.lines:
            wanted = f" ({line.wanted} wanted)" if line.wanted else ""
            lines.append(f"      {line.name}{wanted}")
    return "\n".join(lines)


def records(contests: Sequence[Contest], conditions: Conditions, rounds: int) -> Iterator[Record]:
    """Hold the contests one after the other."""
    for contest in contests:
        try:
            yield held(contest, conditions, rounds)
        except Failed as error:
            sys.exit(f"{contest.title}: {error}")


def rows(record: Record) -> Iterator[str]:
    """Yield a contest's lines of the table."""
    for line in record["lines"]:
        figures = " | ".join(f"{line[key]:.3f}" for key in ("median", "least", "greatest"))
        reached = {None: "", True: "yes", False: "no"}[line["reached"]]
        title = f"{record['evaluated']}/{record['name']}"
        yield f"| {title} | {line['name']} | {figures} | {line['wanted'] or ''} | {reached} |"


def fault_of(own: argparse.Namespace, contests: Sequence[Contest]) -> str | None:
    """Return what is wrong with the arguments for these contests, if anything is."""
    if min(own.rounds, own.threads) < 1:
        return "--rounds and --threads are at least 1"
    if not any(contest.needs_data for contest in contests):
        return None
    if own.data_root is None:
        return "--data-root is needed, for the images of Tiny ImageNet"
    if top_of(own.data_root) is None:
        return f"--data-root {own.data_root}: no unpacked Tiny ImageNet (no wnids.txt)"
    return None


def main() -> None:
    """Measure, print one table, and write the figures."""
    # So that all processes end with this one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = arguments()
    own = parser.parse_args()
    try:
        contests = chosen(own.only)
    except ValueError as error:
        parser.error(str(error))
    if fault := fault_of(own, contests):
        parser.error(fault)
    conditions = Conditions(own.data_root, own.seconds, own.threads)
    report: Record = {"about": about(conditions, own.rounds), "contests": []}
    print(json.dumps(report["about"], indent=1), flush=True)

    def measured() -> Iterator[str]:
        for record in records(contests, conditions, own.rounds):
            report["contests"].append(record)
            # After each, so that what was measured before an interrupt is kept.
            if own.json is not None:
                write_json(own.json, report)
            yield from rows(record)

    table(["evaluated", "line", "median", "least", "greatest", "wanted", "reached"], measured())


if __name__ == "__main__":
    main()
