"""The caller's torch settings change no figure, and a measurement leaves everything as it was."""

import copy
import hashlib
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

import digits_models
from digits_models import EPSILON, LARGE
from gratis.attacks import AttackSettings, attack, frozen, run_attack
from gratis.data import to_float
from gratis.data.dataset import Split
from gratis.evaluation import EvaluateSettings, measure, rescore
from gratis.evaluation.autoattack import AutoAttack
from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.evaluation.model_validation import validate_model
from gratis.evaluation.tasks import FixedSet
from gratis.validation_sets import build, load, made_from

STANDARD = EvaluateSettings(
    suite="standard", epsilon=EPSILON, pgd_steps=3, images=12, epsilons=(EPSILON,), examples="uint8"
)


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def all_of_them():
    with (
        torch.autocast("cpu", torch.bfloat16),
        torch.inference_mode(),
        default_dtype(torch.float64),
    ):
        yield


CALLERS = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    "device": lambda: torch.device("meta"),
    "all": all_of_them,
}


@pytest.fixture(params=CALLERS)
def caller(request):
    return CALLERS[request.param]


def small():
    split = digits_models.digits().validation
    return Split(split.images[:60], split.labels[:60])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """What is found in the default state of torch."""
    return figures(tmp_path_factory.mktemp("plain"))


def figures(folder):
    model, split = digits_models.natural(), small()
    build(folder / "sets", split, True, model, EPSILON, seed=0)
    assert made_from(folder / "sets", model, EPSILON, split)
    sets = load(folder / "sets", split)
    validate_model(model, digits_models.digits(), "model", True, 100)
    found = measure(model, split, sets, STANDARD, 0, folder / "cache")
    images, labels = to_float(split.images[:20], "cpu"), torch.from_numpy(split.labels[:20])
    with frozen(model):
        pgd = AttackSettings.pgd(EPSILON, steps=3, restarts=2)
        result = run_attack(model, images, labels, pgd)
        single = attack(model, images, labels, AttackSettings.fgsm(EPSILON))
    return {
        "sets": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((folder / "sets").iterdir())
        },
        "correct": {name: flags.tolist() for name, flags in found.correct.items()},
        "tasks": found.tasks,
        "checks": found.checks,
        "examples": found.examples.images.tolist(),
        "rescored": rescore(model, split, found.examples, folder, 50).tolist(),
        "attack": [each.tolist() for each in (*result, single)],
    }


def test_the_callers_settings_change_no_figure(caller, plain, tmp_path):
    with caller():
        found = figures(tmp_path)
    assert found == plain


@pytest.mark.parametrize("part", ["square", "apgd-ce"])
def test_the_callers_settings_do_not_reach_autoattack(part):
    pytest.importorskip("pyautoattack")
    evaluated = EvaluatedModel(digits_models.natural(), small(), {}, 0)
    task = AutoAttack(name="it", threat="robust", part=part, epsilon=LARGE)
    with frozen(evaluated.model):
        wanted = task.run(evaluated, np.arange(5)).correct
        with all_of_them():
            found = task.run(evaluated, np.arange(5)).correct
    np.testing.assert_array_equal(found, wanted)


class Various(nn.Module):
    """Has tensors of many layouts, tied weights, mixed modes and frozen parts."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.third = nn.Conv2d(8, 8, 3, padding=1)
        self.third.weight = self.second.weight
        self.turned = nn.Conv2d(8, 8, 3, padding=1).to(memory_format=torch.channels_last)
        self.strided = nn.Conv2d(8, 8, 1)
        self.strided.weight = nn.Parameter(torch.randn(8, 16, 1, 1)[:, ::2])
        self.last = nn.Linear(8, 10)
        self.register_buffer("grid", torch.randn(1, 8, 8, 8))
        self.register_buffer("volume", torch.randn(1, 2, 2, 2, 2))
        self.first.bias.requires_grad_(False)
        self.train()
        self.norm.eval()

    def forward(self, images):
        hidden = self.norm(self.first(images)).relu()
        for layer in (self.second, self.third, self.turned, self.strided):
            hidden = layer(hidden).relu() + self.grid
        return self.last(hidden.mean((2, 3)) + self.volume.mean())


def tensors_of(model):
    return {
        name: (tensor.data_ptr(), tensor.stride(), tensor.dtype, tensor.requires_grad, id(tensor))
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]
    }


def process():
    return (
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.get_float32_matmul_precision(),
        torch.is_grad_enabled(),
        list(sys.path),
    )


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("suite", ["table", "standard"])
def test_a_measurement_leaves_the_module_and_the_process_as_they_were(
    fails, suite, tmp_path, monkeypatch
):
    model, split = Various(), small()
    model(to_float(split.images[:9], "cpu")).sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    build(tmp_path / "sets", split, True, model, EPSILON, seed=0)
    sets = load(tmp_path / "sets", split)
    content = copy.deepcopy(model.state_dict())
    modes = {name: part.training for name, part in model.named_modules()}
    before, state = tensors_of(model), process()
    settings = STANDARD.model_copy(update={"suite": suite})

    def check():
        assert tensors_of(model) == before and process() == state
        assert {name: part.training for name, part in model.named_modules()} == modes
        assert all(torch.equal(content[name], v) for name, v in model.state_dict().items())
        assert all(p.grad is gradients[name] for name, p in model.named_parameters())

    if fails:
        monkeypatch.setattr(FixedSet, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            measure(model, split, sets, settings, 0)
    else:
        found = measure(model, split, sets, settings, 0)
        check()
        rescore(model, split, found.examples, tmp_path, 50)
        validate_model(model, digits_models.digits(), "model", True, 100)
    check()


def test_images_and_labels_are_not_changed():
    model, split = digits_models.natural(), small()
    images, labels = to_float(split.images[:9], "cpu"), torch.from_numpy(split.labels[:9].copy())
    before = images.clone(), labels.clone()
    inputs = images.requires_grad_()
    found = attack(model, inputs, labels, AttackSettings.pgd(EPSILON, steps=2))
    assert torch.equal(inputs, before[0]) and torch.equal(labels, before[1])
    assert inputs.grad is None and inputs.requires_grad and not found.requires_grad
