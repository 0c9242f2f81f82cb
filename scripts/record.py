"""Everything that is measured on a GPU, in legs: run it again and again until nothing is left.

    uv run python scripts/record.py --data-root DIR --out OUT --minutes 9 --bring TO

In order of worth, each job a command of ``gratis`` with a folder below OUT:

- ``check``: what only a GPU can show, in the tests; then a step's time from scratch and at 224 px;
- ``record``: the record recipe, its budget spent, measured by AutoAttack on all images;
- ``curve``: the same with budgets of 1, 2, 5 and 10 minutes, measured on 1,000 images;
- ``ladder``: every adversary for 3 minutes, measured on 1,000 images;
- ``paper``: all rows of the paper's table from scratch at 64 px.

A leg ends in time whatever happens: training is interrupted and goes on from its checkpoint, a
measurement from its last batch. What is finished is not repeated. The table of what is known
comes last. TO gets results, recipes, logs and, in shards of at most 15 MiB, the record's
weights with a checksum.
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
# Seconds that a command has to save what it has, before it is killed.
GRACE = 25
GRATIS = [sys.executable, "-m", "gratis.cli"]


@dataclass(frozen=True)
class Job:
    """A command, and the file that says that it is finished."""

    name: str
    command: list[str]
    done: Path

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.done.exists()


def jobs(own: argparse.Namespace) -> Iterator[Job]:
    """Yield what is to be done, in order of worth; ``own.only`` chooses."""
    root, out = ["--data-root", str(own.data_root)], own.out
    for kind in own.only:
        if kind == "check":
            yield from checks(root, out, own.overrides)
        elif kind == "record":
            yield train("record", [*root, *own.overrides], out)
        elif kind == "curve":
            for minutes in BUDGETS:
                yield train(
                    f"curve-{minutes}m",
                    [*root, f"train.budget={minutes}m", FEW, *own.overrides],
                    out,
                )
        else:
            yield reproduce(kind, [*root, *own.overrides], out)


def checks(root: list[str], out: Path, overrides: list[str]) -> Iterator[Job]:
    """Yield the tests that want a GPU, and a step's time in both of the large settings."""
    tests = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-n", "0"]
    yield noted("check-tests", tests, out)
    for name, words in {
        "scratch": ["contrastive-scheduled", "--profile", "tiny-imagenet-scratch"],
        "record": ["record/tiny-imagenet"],
        "224": ["free", "--profile", "tiny-imagenet", "model.pretrained=false"],
    }.items():
        yield noted(f"check-{name}", [*GRATIS, "timing", *words, *root, *overrides], out)


def noted(name: str, command: list[str], out: Path) -> Job:
    """Return a job that is finished when what it printed is kept."""
    return Job(name, command, out / f"{name}.txt")


def train(name: str, words: list[str], out: Path) -> Job:
    """Return the training of the record recipe, with changes."""
    command = [*GRATIS, "train", "record/tiny-imagenet", *words, "--out", str(out / name)]
    return Job(name, command, out / name / "results.json")


def reproduce(kind: str, words: list[str], out: Path) -> Job:
    """Return all rows of the ladder, or of the paper's table."""
    own = {
        # Without the reference, whose equal epochs a budget would undo.
        "ladder": [*LADDER, "--profile", "record", "train.budget=3m", FEW],
        "paper": ["--profile", "tiny-imagenet-scratch"],
    }[kind]
    command = [*GRATIS, "reproduce", *own, *words, "--out", str(out / kind)]
    return Job(kind, command, out / kind / "table.md")


def run(job: Job, deadline: float) -> bool:
    """Run a job until it ends, well or not, or the time is up; return whether it ended."""
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
    """Return the results below a folder, by their run's place there."""
    found = sorted(out.rglob("results.json"))
    runs = [path for path in found if (path.parent / "recipe.yaml").exists()]
    return {str(path.parent.relative_to(out)): Results.read(path) for path in runs}


def line(name: str, found: Results) -> str:
    """Return a run's line of the table."""
    shares = (found.clean, found.pgd, found.robust)
    cells = ["n/a" if share is None else f"{100 * share:.2f}" for share in shares]
    cells += [f"{found.seconds / 60:.1f}", f"{found.epochs:.1f}"]
    cells += [f"{found.n:,}", f"{found.train_images:,}", found.device]
    return f"| {name} | {' | '.join(cells)} |"


def bring(out: Path, home: Path) -> None:
    """Copy what is small, and the record's weights in shards, into ``home``."""
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        bring_small(out, Path(folder), home)
    if (out / "record" / "results.json").exists():
        bring_weights(out / "record" / "checkpoint.safetensors", home)


def bring_small(out: Path, listing: Path, home: Path) -> None:
    """Pack what is small into one archive: few files travel, and not from deep folders."""
    small = [path for path in out.rglob("*") if path.name in SMALL or path.suffix == ".txt"]
    for path in small:
        to = listing / path.relative_to(out)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
    shutil.make_archive(str(home / "files"), "gztar", listing)


def bring_weights(checkpoint: Path, home: Path) -> None:
    """Write the averaged weights as shards of one safetensors file, with its checksum."""
    prefix = "average.module."
    with safe_open(checkpoint, "pt") as file:
        # Not a mapping, whatever it looks like.
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        content = save({name.removeprefix(prefix): file.get_tensor(name) for name in names})
    for number, start in enumerate(range(0, len(content), SHARD)):
        (home / f"weights-{number}").write_bytes(content[start : start + SHARD])
    digest = hashlib.sha256(content).hexdigest()
    (home / "weights.sha256").write_text(f"{digest}  weights.safetensors\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description="What is measured on a GPU, in legs.")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="kept between legs")
    parser.add_argument("--minutes", type=float, default=9.0, help="of this leg")
    parser.add_argument("--only", nargs="+", choices=JOBS, default=list(JOBS), metavar="JOB")
    parser.add_argument("--bring", type=Path, metavar="TO", help="copy results and weights there")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of every recipe")
    return parser.parse_intermixed_args()


def main() -> None:
    """Do as much as fits, and print what is known."""
    own = arguments()
    deadline = time.monotonic() + 60 * own.minutes - GRACE
    own.out.mkdir(parents=True, exist_ok=True)
    todo = [job for job in jobs(own) if not job.finished]
    failed = False
    while todo and time.monotonic() < deadline and run(todo[0], deadline):
        # Whatever one ended with, the others are worth as much.
        failed |= not todo[0].finished
        todo = todo[1:]
    if own.bring is not None:
        bring(own.out, own.bring)
    print(f"\n| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for each in results(own.out).items():
        print(line(*each))
    left = ", ".join(job.name for job in jobs(own) if not job.finished)
    print(f"left: {left or 'nothing'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
