"""Runs all benchmarks: uv run python -m benchmarks --data-root DIR."""

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from benchmarks.base import Comparison, Conditions
from benchmarks.harness import Record, about, record_of
from benchmarks.script_loop import find_tiny_imagenet
from benchmarks.suite import COMPARISONS, chosen
from benchmarks.tables import table
from benchmarks.worker import WorkerError
from gratis.json_files import write_json

DESCRIPTION = """\
Measure the cost of training beside the bare arithmetic and beside other libraries.

Every line of the table is a ratio of two sides that run in turn, round after round: the median of
the rounds, the least and the greatest. All sides of a comparison get the same time, a first round
warms up, and a process is stopped while it is not its turn. The docstrings of the modules in
benchmarks/ define the lines. The benchmarks use the GPU if there is one; set
CUDA_VISIBLE_DEVICES= to measure the CPU. Linux only.
"""


def parser_of_arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data-root", type=Path, metavar="DIR", help="folder that holds Tiny ImageNet"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="topics or comparisons (default: all)"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, metavar="N", help="rounds that count (default: 5)"
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, metavar="S", help="seconds of a turn (default: 5)"
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=torch.get_num_threads(),
        metavar="N",
        help="threads of every side (default: torch's)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures of every round"
    )
    defaults = parser.parse_args([])
    parser.epilog = listing(defaults.rounds, defaults.seconds)
    return parser


def listing(rounds: int, seconds: float) -> str:
    """Return the names that ``--only`` takes, with their lines and durations."""
    lines = [f"Comparisons, and their durations with {rounds} rounds of {seconds:g} s:\n"]
    for comparison in COMPARISONS:
        minutes = (rounds + 1) * comparison.duration(seconds) / 60
        lines.append(f"  {comparison.title:<31} {minutes:4.1f} min")
        for line in comparison.lines:
            target = f" (target: {line.target})" if line.target else ""
            lines.append(f"      {line.name}{target}")
    return "\n".join(lines)


def records(
    comparisons: Sequence[Comparison], conditions: Conditions, rounds: int
) -> Iterator[Record]:
    """Yield the record of each comparison once it is measured."""
    for comparison in comparisons:
        try:
            yield record_of(comparison, conditions, rounds)
        except WorkerError as error:
            sys.exit(f"{comparison.title}: {error}")


def rows(record: Record) -> Iterator[str]:
    """Yield the lines of a comparison as rows of the table."""
    for line in record["lines"]:
        figures = " | ".join(f"{line[key]:.3f}" for key in ("median", "least", "greatest"))
        met = {None: "", True: "yes", False: "no"}[line["met"]]
        title = f"{record['topic']}/{record['name']}"
        yield f"| {title} | {line['name']} | {figures} | {line['target'] or ''} | {met} |"


def argument_error(args: argparse.Namespace, comparisons: Sequence[Comparison]) -> str | None:
    """Return what is wrong with the arguments for these comparisons; ``None`` if nothing is."""
    if min(args.rounds, args.threads) < 1:
        return "--rounds and --threads must be at least 1"
    if not any(comparison.needs_data for comparison in comparisons):
        return None
    if args.data_root is None:
        return "--data-root is needed, for the images of Tiny ImageNet"
    if find_tiny_imagenet(args.data_root) is None:
        return f"--data-root {args.data_root}: no unpacked Tiny ImageNet (no wnids.txt)"
    return None


def main() -> None:
    """Measure, print one table, and write the figures."""
    # A terminated benchmark also ends its worker processes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = parser_of_arguments()
    args = parser.parse_args()
    try:
        comparisons = chosen(args.only)
    except ValueError as error:
        parser.error(str(error))
    if problem := argument_error(args, comparisons):
        parser.error(problem)
    conditions = Conditions(args.data_root, args.seconds, args.threads)
    report: Record = {"about": about(conditions, args.rounds), "comparisons": []}
    print(json.dumps(report["about"], indent=1), flush=True)

    def measured_rows() -> Iterator[str]:
        for record in records(comparisons, conditions, args.rounds):
            report["comparisons"].append(record)
            # After each comparison, so that an interrupt loses one at most.
            if args.json is not None:
                write_json(args.json, report)
            yield from rows(record)

    table(["comparison", "line", "median", "least", "greatest", "target", "met"], measured_rows())


if __name__ == "__main__":
    main()
