"""Compare schedules of hardening with a constant attack and with training from scratch.

    uv run python scripts/harden_study.py --weights tf_efficientnet_lite0.safetensors \
        --data-root DIR --out OUT --minutes 20

On the first 20 classes of Tiny ImageNet, for each seed:

- ``natural``: EfficientNet-Lite0 with ImageNet weights, fine-tuned naturally for half the time;
- ``short-ramp``: the natural model, hardened as by ``gratis harden``: epsilon grows over the first
  15% of the training;
- ``constant``: the same with all of epsilon from the start;
- ``scheduled``: the same, but epsilon and the number of replays grow over 60% of the training;
- ``scratch``: the training of ``scheduled`` from random weights, for the time of ``natural`` and
  ``scheduled`` together;
- ``n-fgsm``: as ``scheduled``, with ``--adversary n_fgsm``.

Every model is measured by PGD-20 at 4/255 and at three smaller epsilons, and then, with
``--autoattack N``, by AutoAttack on N images. A hardened model is the one that the frontier chose.

Run the same command again to continue after an interruption; what is finished is not repeated.
OUT/study.json and OUT/study.md have the results so far. With ``--epochs`` instead of ``--minutes``
every method has the same number of passes, for a machine that other programs use too.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

import torch

import gratis
from gratis.files import make_folder, write_text
from gratis.json_files import write_json
from gratis.recipe import Recipe, resolve
from gratis.report.table import Cell, Table, TableRow, markdown_table
from gratis.results import Results, mean_and_std
from gratis.run import RunFolder, evaluate_run
from gratis.settings import override

METHODS = ("natural", "scheduled", "constant", "short-ramp", "scratch", "n-fgsm")
METRICS = ("clean", "pgd", "robust", "expected")
BACKBONE = "tf_efficientnet_lite0"
SCHEDULED = [
    "adversary.free.epsilon={linear: {start: 0, stop: 4/255, end: 0.6}}",
    "adversary.free.replays={steps: {0: 1, 0.2: 2, 0.4: 3, 0.6: 4}}",
]
# What a method changes of the recipe.
CHANGES = {
    "constant": ["adversary.free.epsilon=4/255"],
    "scheduled": SCHEDULED,
    "scratch": SCHEDULED,
}
# Training images of each class that no model trains on.
HELD_OUT = 20


class Study:
    """The runs of the study in one folder."""

    def __init__(self, given: argparse.Namespace) -> None:
        """Take the options of the command line."""
        self.given, self.out = given, Path(given.out)

    def path(self, method: str, seed: int) -> Path:
        """Return the folder of a run."""
        return self.out / f"{method}-seed{seed}"

    def train(self, method: str, seed: int) -> None:
        """Train and measure one model, unless it is finished."""
        path = self.path(method, seed)
        if method == "natural":
            gratis.train(self._plain(seed, 0.5, natural=True), out=path)
        elif method == "scratch":
            gratis.train(self._plain(seed, 1.5, natural=False), out=path)
        else:
            gratis.harden(
                self.path("natural", seed),
                budget=None,
                adversary="n_fgsm" if method == "n-fgsm" else "free",
                out=path,
                overrides=[*self._common(seed, 1), *CHANGES.get(method, [])],
            )

    def autoattack(self, method: str, seed: int) -> Results:
        """Measure one model by AutoAttack, unless it is measured."""
        path = self.path(method, seed)
        images = override("evaluate.images", self.given.autoattack)
        out = path / f"autoattack-{self.given.autoattack}"
        if (out / "results.json").is_file():
            return Results.read(out / "results.json")
        return evaluate_run(path, None, ["evaluate.suite=autoattack", images], out=out)

    def _plain(self, seed: int, share: float, natural: bool) -> Recipe:
        """Return the recipe of a run that does not start from a run."""
        given = self.given
        start = ["model.pretrained=true", override("model.weights", str(given.weights.absolute()))]
        changes = [
            *self._common(seed, share),
            override("data.name", "tiny-imagenet"),
            override("data.root", str(given.data_root.absolute())),
            override("data.classes", given.classes),
            override("model.backbone", BACKBONE),
            override("model.input_size", given.input_size),
            *("model.head.layers=0", "model.head.dropout=0", "harden=null"),
            *(["adversary=natural", *start] if natural else CHANGES["scratch"]),
        ]
        return resolve("harden/free", None, changes)

    def _common(self, seed: int, share: float) -> list[str]:
        given = self.given
        length = override("train.epochs", share * (given.epochs or 1))
        if given.epochs is None:
            length = override("train.budget", share * 60 * given.minutes)
        return [
            length,
            override("seed", seed),
            override("train.held_out_per_class", HELD_OUT),
            override("evaluate.images", given.images),
        ]

    def report(self) -> None:
        """Write the results so far, and print the table."""
        rows = [row for method in METHODS if (row := self._row(method)) is not None]
        make_folder(self.out)
        write_json(self.out / "study.json", {"arguments": _plain(self.given), "rows": rows})
        columns = ["method", "seeds", *METRICS, "autoattack", "training (min)"]
        cells = [[Cell(str(row[column])) for column in columns] for row in map(_shown, rows)]
        table = Table([Cell(c) for c in columns], [TableRow(line) for line in cells])
        text = f"{self._about()}\n\n{markdown_table(table)}\n"
        write_text(self.out / "study.md", text)
        print(text, flush=True)

    def _about(self) -> str:
        given = self.given
        length = (
            f"{given.minutes:g} minutes" if given.epochs is None else f"{given.epochs:g} epochs"
        )
        return (
            f"{BACKBONE}, the first {given.classes} classes of Tiny ImageNet at "
            f"{given.input_size} px, epsilon 4/255, {length} of hardening on {given.threads} CPU "
            f"thread. Accuracies in percent on {given.images} validation images; of several seeds "
            "the mean and standard deviation. robust: the worst of PGD-20 on two losses; "
            "autoattack: where it was run."
        )

    def _row(self, method: str) -> dict[str, Any] | None:
        """Return what is known of a method, over its seeds."""
        seeds = []
        for seed in range(self.given.seeds):
            path = self.path(method, seed)
            results = RunFolder(path).results()
            if results is None:
                continue
            found = {metric: getattr(results, metric) for metric in METRICS}
            found |= {"seed": seed, "minutes": results.seconds / 60, "curve": results.curve}
            for attacked in path.glob("autoattack-*/results.json"):
                found["autoattack"] = Results.read(attacked).robust
            if RunFolder(path).frontier_file.is_file():
                found["frontier"] = RunFolder(path).frontier().model_dump(mode="json")
            seeds.append(found)
        return {"method": method, "seeds": seeds} if seeds else None


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as text: mean and standard deviation over the seeds."""
    shown = {"method": row["method"], "seeds": len(row["seeds"])}
    for metric in (*METRICS, "autoattack"):
        values = [100 * seed[metric] for seed in row["seeds"] if seed.get(metric) is not None]
        shown[metric] = _mean(values, len(row["seeds"]))
    minutes, _ = mean_and_std([seed["minutes"] for seed in row["seeds"]])
    return shown | {"training (min)": f"{minutes:.1f}"}


def _mean(values: list[float], seeds: int) -> str:
    """Return the mean as text, with the standard deviation, and how many of the seeds have it."""
    if not values:
        return ""
    mean, std = mean_and_std(values)
    spread = f" ±{std:.1f}" if len(values) > 1 else ""
    return f"{mean:.1f}{spread}" + (f" ({len(values)} of {seeds})" if len(values) < seeds else "")


def _plain(given: argparse.Namespace) -> dict[str, Any]:
    # Where the files lie on this machine says nothing to others.
    places = ("data_root", "out")
    kept = {k: v for k, v in vars(given).items() if k not in places}
    return {k: v.name if isinstance(v, Path) else v for k, v in kept.items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", default="out/harden-study")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=20, help="of hardening")
    length.add_argument("--epochs", type=float, help="of hardening, instead of minutes")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--input-size", type=int, default=64)
    parser.add_argument("--images", type=int, default=500, help="of the validation split")
    parser.add_argument("--autoattack", type=int, default=0, help="images; 0 leaves it out")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Train all models, seed by seed, then attack them; report after each."""
    given = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(given.threads)
    study = Study(given)
    jobs = [(method, seed) for seed in range(given.seeds) for method in given.methods]
    for method, seed in jobs:
        study.train(method, seed)
        study.report()
    for method, seed in jobs if given.autoattack else ():
        study.autoattack(method, seed)
        study.report()


if __name__ == "__main__":
    main()
