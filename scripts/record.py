"""Run all measurements that need a GPU, in sessions of limited length.

    uv run python scripts/record.py --data-root DIR --out OUT --minutes 9 --export TO

Repeat the command until it prints ``left: nothing``. The jobs, most important first, each a
``gratis`` command with its own folder below OUT:

- ``check``: the tests that need a GPU, and the time of a step from scratch and at 224 px;
- ``record``: the record recipe with its full budget, evaluated by AutoAttack on all images;
- ``curve``: the same with budgets of 1, 2, 5 and 10 minutes, evaluated on 1,000 images;
- ``ladder``: every adversary for 3 minutes, evaluated on 1,000 images;
- ``paper``: all rows of the paper's table from scratch at 64 px.

A session ends on time: a job is interrupted, and continues in the next session from its last
checkpoint or evaluated batch. Finished jobs are not repeated. Every session ends with a table of
the results so far. TO gets the results, recipes and logs, and the record's weights with a checksum
in shards of at most 15 MiB.
"""

import argparse
import hashlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save

from gratis.results import Results

JOBS = ("check", "record", "curve", "ladder", "paper")
BUDGETS = (1, 2, 5, 10)
ROWS = ("natural", "free", "free-scheduled", "cached", "n-fgsm", "fgsm-rs", "pgd")
LADDER = [f"record-{row}" for row in ROWS]
FEW = "evaluate.images=1000"
SHARD = 15 * 2**20
SMALL = {"results.json", "recipe.yaml", "metrics.jsonl", "seconds.json", "table.md", "paired.md"}
COLUMNS = ("run", "clean", "pgd", "robust", "minutes", "epochs", "images", "training set", "device")
# Seconds that an interrupted command has to save its state before it is killed.
GRACE = 25
GRATIS = [sys.executable, "-m", "gratis.cli"]


@dataclass(frozen=True)
class Job:
    """A command, and the file that exists once it is finished."""

    name: str
    command: list[str]
    done: Path

    @property
    def finished(self) -> bool:
        """Whether the job is finished."""
        return self.done.exists()


def jobs(args: argparse.Namespace) -> Iterator[Job]:
    """Yield the jobs, most important first; ``args.only`` selects kinds."""
    root, out = ["--data-root", str(args.data_root)], args.out
    for kind in args.only:
        if kind == "check":
            yield from checks(root, out, args.overrides)
        elif kind == "record":
            yield train("record", [*root, *args.overrides], out)
        elif kind == "curve":
            for minutes in BUDGETS:
                yield train(
                    f"curve-{minutes}m",
                    [*root, f"train.budget={minutes}m", FEW, *args.overrides],
                    out,
                )
        else:
            yield reproduce(kind, [*root, *args.overrides], out)


def checks(root: list[str], out: Path, overrides: list[str]) -> Iterator[Job]:
    """Yield the tests that need a GPU, and the timing of the large settings."""
    tests = [sys.executable, "-m", "pytest", "-q", "-m", "gpu"]
    yield with_output("check-tests", tests, out)
    for name, words in {
        "scratch": ["contrastive-scheduled", "--profile", "tiny-imagenet-scratch"],
        "record": ["record/tiny-imagenet"],
        "224": ["free", "--profile", "tiny-imagenet", "model.pretrained=false"],
    }.items():
        yield with_output(f"check-{name}", [*GRATIS, "timing", *words, *root, *overrides], out)


def with_output(name: str, command: list[str], out: Path) -> Job:
    """Return a job whose output goes to a file, which exists once the job has succeeded."""
    return Job(name, command, out / f"{name}.txt")


def train(name: str, words: list[str], out: Path) -> Job:
    """Return the job that trains the record recipe with overrides."""
    command = [*GRATIS, "train", "record/tiny-imagenet", *words, "--out", str(out / name)]
    return Job(name, command, out / name / "results.json")


def reproduce(kind: str, words: list[str], out: Path) -> Job:
    """Return the job that reproduces the ladder or the paper's table."""
    selection = {
        # Without the reference row: a budget of time contradicts its equal epochs.
        "ladder": [*LADDER, "--profile", "record", "train.budget=3m", FEW],
        "paper": ["--profile", "tiny-imagenet-scratch"],
    }[kind]
    command = [*GRATIS, "reproduce", *selection, *words, "--out", str(out / kind)]
    return Job(kind, command, out / kind / "table.md")


def run(job: Job, deadline: float) -> bool:
    """Run a job until it ends or the deadline passes; return whether it ended."""
    print(f"== {job.name}", flush=True)
    printed = job.done.suffix == ".txt"
    stream = subprocess.PIPE if printed else None
    process = subprocess.Popen(job.command, stdout=stream, stderr=subprocess.STDOUT, text=True)
    try:
        text, _ = process.communicate(timeout=max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        return False
    if printed:
        print(text, flush=True)
    if printed and not process.returncode:
        job.done.write_text(text, encoding="utf-8")
    return True


def results(out: Path) -> dict[str, Results]:
    """Return the results of all runs below a folder, by the run's path in it."""
    found = sorted(out.rglob("results.json"))
    runs = [path for path in found if (path.parent / "recipe.yaml").exists()]
    return {str(path.parent.relative_to(out)): Results.read(path) for path in runs}


def line(name: str, found: Results) -> str:
    """Return the table's line for a run."""
    shares = (found.clean, found.pgd, found.robust)
    cells = ["n/a" if share is None else f"{100 * share:.2f}" for share in shares]
    cells += [f"{found.seconds / 60:.1f}", f"{found.epochs:.1f}"]
    cells += [f"{found.n:,}", f"{found.train_images:,}", found.device]
    return f"| {name} | {' | '.join(cells)} |"


def export(out: Path, target: Path) -> None:
    """Copy results, recipes and logs to ``target``, and the record's weights in shards."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        export_small(out, Path(folder), target)
    if (out / "record" / "results.json").exists():
        export_weights(out / "record" / "checkpoint.safetensors", target)


def export_small(out: Path, staging: Path, target: Path) -> None:
    """Pack results, recipes and logs into one archive, staged in ``staging``."""
    small = [path for path in out.rglob("*") if path.name in SMALL or path.suffix == ".txt"]
    for path in small:
        to = staging / path.relative_to(out)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
    shutil.make_archive(str(target / "files"), "gztar", staging)


def export_weights(checkpoint: Path, target: Path) -> None:
    """Write the averaged weights as shards of one safetensors file, with its checksum."""
    prefix = "average.module."
    with safe_open(checkpoint, "pt") as file:
        # The file is not a mapping, so there is no iteration over it.
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        content = save({name.removeprefix(prefix): file.get_tensor(name) for name in names})
    for number, start in enumerate(range(0, len(content), SHARD)):
        (target / f"weights-{number}").write_bytes(content[start : start + SHARD])
    digest = hashlib.sha256(content).hexdigest()
    (target / "weights.sha256").write_text(f"{digest}  weights.safetensors\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description="Run all measurements that need a GPU, in sessions."
    )
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="kept between sessions")
    parser.add_argument(
        "--minutes", type=float, default=9.0, help="length of the session (default: 9)"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=JOBS,
        default=list(JOBS),
        metavar="JOB",
        help="kinds of jobs (default: all)",
    )
    parser.add_argument("--export", type=Path, metavar="TO", help="copy results and weights to TO")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="overrides of every recipe"
    )
    return parser.parse_intermixed_args()


def main() -> None:
    """Run as many jobs as fit, and print the results so far."""
    args = arguments()
    deadline = time.monotonic() + 60 * args.minutes - GRACE
    args.out.mkdir(parents=True, exist_ok=True)
    todo = [job for job in jobs(args) if not job.finished]
    failed = False
    while todo and time.monotonic() < deadline and run(todo[0], deadline):
        # A failed job does not stop the others.
        failed |= not todo[0].finished
        todo = todo[1:]
    if args.export is not None:
        export(args.out, args.export)
    print(f"\n| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for each in results(args.out).items():
        print(line(*each))
    left = ", ".join(job.name for job in jobs(args) if not job.finished)
    print(f"left: {left or 'nothing'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
