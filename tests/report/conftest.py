import json

import numpy as np
import pytest

from gratis.evaluation import EvaluateSettings
from gratis.evaluation.suites import tasks_of
from gratis.report.rows import WORST
from gratis.results import METRICS, Check, Paper, Results, TaskResult
from gratis.results.measurement import Measurement


@pytest.fixture(scope="session")
def result():
    def make(recipe="resnet18", seed=0, **changes):
        fields = dict(
            recipe=recipe,
            title=recipe.title(),
            seed=seed,
            clean=0.8,
            geometric=0.5,
            transfer=0.4,
            fgsm_transfer=0.3,
            fgsm=0.2,
            pgd=0.1,
            n=200,
            classes=10,
            epsilon=8 / 255,
            pgd_steps=20,
            data="digits",
            train_images=1000,
            backbone="resnet18",
            parameters=11_000_000,
            image_size=64,
            input_size=224,
            passes=55_000.0,
            epochs=5.5,
            seconds=87.3,
            device="cpu",
        )
        return Results(**(fields | changes))

    return make


@pytest.fixture(scope="session")
def tasks():
    """Make the results of a suite's tasks, on all images, with survival of 1%, 2%, ..."""

    def make(**settings):
        of_suite = tasks_of(EvaluateSettings(**settings))
        own = ("name", "threat", "standalone")
        return tuple(
            TaskResult(
                **task.model_dump(include=set(own)),
                accuracy=place / 100,
                images=200,
                settings=task.model_dump(mode="json", exclude=set(own)),
            )
            for place, task in enumerate(of_suite, 1)
        )

    return make


@pytest.fixture(scope="session")
def check():
    """Make a sanity check, by default the one on catastrophic overfitting."""

    def make(passed, name="catastrophic overfitting", **figures):
        return Check(
            name=name,
            passed=passed,
            figures=figures or {"accuracy under FGSM": 0.6, "accuracy under PGD-50": 0.021},
            rule="fails where <x> is surely so: why",
            advice="the gradients are masked; do not quote it",
            images=150,
        )

    return make


@pytest.fixture
def results(result):
    """A baseline, a row of three seeds that overfitted, and a reference that lacks two sets."""
    paper = Paper(geometric=48, fgsm_transfer=28)
    return [
        result("baseline", baseline=True, paper=Paper(geometric=32)),
        *(
            result("free", seed, fgsm=0.6 + seed / 100, pgd=0.02, input_size=64, paper=paper)
            for seed in range(3)
        ),
        result("pgd-full", reference=True, transfer=None, fgsm_transfer=None, clean=1.0),
    ]


@pytest.fixture(scope="session")
def write_run(result):
    """Write the folder of an evaluated run below another, without a model."""

    def write(under, recipe="free", seed=0, **changes):
        log = changes.pop("log", [{"kind": "epoch", "epoch": 1, "loss": 2, "accuracy": 0.5}])
        settings = {"name": recipe, "seed": seed, "adversary": {"free": {}}}
        changes["resolved"] = settings | changes.pop("resolved", {})
        results = result(recipe, seed, **changes)
        folder = under / f"{recipe}-seed{seed}"
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text("")
        results.write(folder / "results.json")
        every = {m: getattr(results, m) for m in (*METRICS, WORST)}
        measured = {m: share for m, share in every.items() if share is not None}
        correct = {m: np.arange(results.n) < round(a * results.n) for m, a in measured.items()}
        Measurement(np.arange(results.n), correct).save(folder / "correct.safetensors")
        lines = "".join(f"{json.dumps(line)}\n" for line in log)
        (folder / "metrics.jsonl").write_text(lines)
        return folder

    return write


@pytest.fixture
def external_folder(write_run):
    """Write the folder of an evaluated external model."""

    def write(under, name="theirs", **changes):
        nothing = dict.fromkeys(("passes", "epochs", "seconds"), 0)
        own = {"resolved": {"adversary": None, "evaluate": {}}}
        folder = write_run(under, name, **(nothing | own | changes))
        (folder / "recipe.yaml").unlink()
        (folder / "metrics.jsonl").unlink()
        return folder

    return write


@pytest.fixture
def run_folder(tmp_path, write_run):
    """Write the folder of an evaluated run into the layout of ``gratis reproduce``."""

    def write(*name, under=tmp_path / "out" / "runs", **changes):
        return write_run(under, *name, **changes)

    return write
