"""A run that is stopped and resumed, however often, ends like one that is not."""

import json
import random

import pytest
import torch
from safetensors.torch import load_file

from gratis.run.build import build_trainer
from gratis.training import trainer as trainer_module
from gratis.training.fit import fit

CONTRASTIVE = {"cross_entropy": {}, "contrastive": {"weight": 0.1}}
CASES = {
    "natural": {"ema_decay": 0.9},
    "free": {"adversary": {"free": {"replays": 3, "gamma": 0.7, "delta_momentum": 0.5}}},
    "scheduled": {
        "adversary": {
            "free": {
                "replays": {"steps": {0: 1, 0.3: 2, 0.6: 4}},
                "epsilon": {"linear": {"start": 0, "stop": 0.1}},
            }
        },
        "objective": CONTRASTIVE,
        "learning_rate": {"cosine": {"start": 0.05, "stop": 0}},
    },
    "cached": {"adversary": {"cached": {"replays": 3}}, "objective": CONTRASTIVE},
    "n_fgsm": {"adversary": "n_fgsm", "optimizer": "adamw", "learning_rate": 0.003},
    "pgd": {"adversary": {"pgd": {"steps": 2}}},
    "autoencoder": {
        "adversary": {"free": {"replays": 2, "reset_delta": True}},
        "objective": CONTRASTIVE | {"reconstruction": {}},
        "denoiser": True,
    },
}


def stop_after(batches):
    """Return a function that is true after that many calls."""
    left = iter([False] * batches)
    return lambda: next(left, True)


def log(folder):
    written = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    clocks = {"images_per_second", "passes_per_second"}
    return [{k: v for k, v in line.items() if k not in clocks} for line in written]


def run_to_the_end(build, folder, stops):
    """Train with a fresh trainer after every stop; return the last one."""
    folder.mkdir()
    for batches in stops:
        trainer, monitor = build()
        if fit(trainer, folder, {"run": "x"}, stop_after(batches), monitor):
            return trainer
    trainer, monitor = build()
    assert fit(trainer, folder, {"run": "x"}, monitor=monitor)
    return trainer


@pytest.fixture
def builder(recipe_of, toy):
    return lambda **own: lambda: build_trainer(recipe_of(**own), toy)


@pytest.mark.parametrize("name", CASES)
def test_resuming_gives_the_same_weights_and_log(name, builder, tmp_path):
    build = builder(**{"held_out_per_class": 2, "epochs": 5} | CASES[name])
    whole = run_to_the_end(build, tmp_path / "whole", [])
    draw = random.Random(name)
    stops = [0, 1, *(draw.randint(1, 9) for _ in range(4))]
    parts = run_to_the_end(build, tmp_path / "parts", stops)
    for field in ("passes", "batches", "steps", "images"):
        assert getattr(whole.position, field) == getattr(parts.position, field)
    expected = load_file(tmp_path / "whole" / "checkpoint.safetensors")
    resumed = load_file(tmp_path / "parts" / "checkpoint.safetensors")
    assert expected.keys() == resumed.keys()
    different = [key for key in expected if not torch.equal(expected[key], resumed[key])]
    assert not different
    assert log(tmp_path / "whole") == log(tmp_path / "parts")
    assert any("held_out" in line for line in log(tmp_path / "parts"))


def test_lines_after_the_checkpoint_are_dropped(builder, tmp_path):
    build = builder(adversary="free", log_every_steps=1)
    run_to_the_end(build, tmp_path / "whole", [])
    folder = tmp_path / "killed"
    folder.mkdir()
    fit(build()[0], folder, {"run": "x"}, stop_after(3))
    with (folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"kind": "step", "step": 99}\n{"kind": "st')  # killed while writing
    assert fit(build()[0], folder, {"run": "x"})
    assert log(folder) == log(tmp_path / "whole")


def test_a_lost_log_does_not_stop_the_run(builder, tmp_path):
    build = builder(adversary="natural", log_every_steps=1)
    fit(build()[0], tmp_path, {"run": "x"}, stop_after(3))
    (tmp_path / "metrics.jsonl").unlink()
    assert fit(build()[0], tmp_path, {"run": "x"})
    steps = [line["step"] for line in log(tmp_path) if line["kind"] == "step"]
    assert steps == list(range(4, steps[-1] + 1))


def test_an_error_in_a_step_leaves_the_last_checkpoint(builder, monkeypatch, tmp_path):
    build = builder(adversary="free")
    fit(build()[0], tmp_path, {"run": "x"}, stop_after(2))
    before = (tmp_path / "checkpoint.safetensors").read_bytes()

    def broken(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer_module, "train_step", broken)
    with pytest.raises(KeyboardInterrupt):
        fit(build()[0], tmp_path, {"run": "x"})
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before
