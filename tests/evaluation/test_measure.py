"""Suites as a whole: which images each task runs on, which outcome counts, and what is cached."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

from gratis.attacks import AttackResult, AttackSettings, attack
from gratis.errors import GratisError
from gratis.evaluation import SUITES, EvaluateSettings, measure, tasks
from gratis.evaluation.autoattack import AutoAttack
from gratis.evaluation.evaluated_model import EvaluatedModel, FixedImages
from gratis.evaluation.measure import FOLDING_CHECKED
from gratis.evaluation.tasks import GradientAttack, epsilon_curve

# The package has a function of this name too.
measuring = sys.modules["gratis.evaluation.measure"]

STANDARD = EvaluateSettings(suite="standard", pgd_steps=4, epsilon_l2=0.3, batch_size=10)


def files(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}


def by_name(found):
    return {task.name: task for task in found.tasks}


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_runs_and_describes_its_tasks(suite, net, split, sets, monkeypatch):
    if suite in ("autoattack", "full"):
        pytest.importorskip("kornia")
        # AutoAttack has tests of its own, and is slow.
        monkeypatch.setattr(AutoAttack, "applies_to", lambda self, evaluated: False)
    settings = EvaluateSettings(suite=suite, pgd_steps=2, images=12)
    found = measure(net, split, sets, settings, 0)
    names = [task.name for task in found.tasks]
    assert len(set(names)) == len(names) and names[:3] == ["clean", "geometric", "fgsm_transfer"]
    for task in found.tasks:
        assert task.accuracy == found.accuracy(task.name)
        assert task.images == 12 if not task.threat else task.images <= 12
    assert set(found.correct) - set(names) <= {"robust", "robust_l2"}
    assert ("robust" in found.correct) == (suite not in ("paper", "transfer"))


def test_the_suite_autoattack_is_the_table_and_its_four_parts():
    own = EvaluateSettings(suite="autoattack")
    found = SUITES["autoattack"](own)
    assert found[:-4] == SUITES["table"](own)
    assert found[-4:] == SUITES["full"](own)[-4:]
    assert [task.name for task in found[-4:]] == ["apgd_ce", "apgd_t", "fab_t", "square"]


def test_the_margin_loss_leaves_the_published_columns_of_the_table_as_they_are():
    settings = EvaluateSettings(restarts=2)
    *published, margin = SUITES["table"](settings)
    assert [task.name for task in published[-2:]] == ["fgsm", "pgd"]
    assert all(task.standalone for task in published)
    assert (margin.name, margin.standalone, margin.attack.loss) == ("pgd_margin", False, "margin")
    assert (margin.attack.steps, margin.attack.restarts) == (settings.pgd_steps, 2)


def test_attacks_within_a_threat_become_no_cheaper():
    found = SUITES["full"](EvaluateSettings(suite="full"))
    for threat in ("robust", "robust_l2"):
        costs = [task.cost for task in found if task.threat == threat]
        assert len(costs) > 1 and costs == sorted(costs)


def test_the_worst_case_is_image_by_image_and_cascades_skip_fooled_images(net, split, sets):
    found = measure(net, split, sets, STANDARD, 0)
    how, correct = by_name(found), found.correct
    standalone = correct["fgsm"] & correct["bim"] & correct["pgd"]
    for name in ("fgsm", "bim", "pgd", "pgd_l2"):
        assert how[name].standalone and how[name].images == correct["clean"].sum()
        assert (correct["clean"] | ~correct[name]).all()
    assert how["pgd_margin"].images == standalone.sum() < correct["clean"].sum()
    assert (standalone | ~correct["pgd_margin"]).all()
    assert how["square"].images == correct["pgd_margin"].sum() > 0
    assert (correct["pgd_margin"] | ~correct["square"]).all()
    np.testing.assert_array_equal(correct["robust"], correct["square"])
    np.testing.assert_array_equal(correct["robust_l2"], correct["pgd_l2_margin"])
    assert 0 < correct["robust"].sum() < standalone.sum() + 1


def test_a_cascade_finds_what_its_attacks_find_standalone(net, split, sets):
    found = measure(net, split, sets, STANDARD, 0)
    evaluated = EvaluatedModel(net, split, {}, 0)
    alone = np.ones(len(split), dtype=bool)
    for task in SUITES["standard"](STANDARD):
        if task.threat == "robust":
            alone &= task.run(evaluated, np.arange(len(split))).correct
    np.testing.assert_array_equal(found.correct["robust"], alone & found.correct["clean"])


def test_the_curve_falls_and_equals_each_epsilon_alone(net, split, sets):
    epsilons = (0.0, 2 / 255, 16 / 255, 5 / 255)
    settings = STANDARD.model_copy(update={"epsilons": epsilons})
    found = measure(net, split, sets, settings, 0)
    names = [task.name for task in found.tasks if task.threat == "curve"]
    assert names == ["pgd 2/255", "pgd 5/255", "pgd 16/255"]
    evaluated = EvaluatedModel(net, split, {}, 0)
    last = found.correct["clean"]
    for name, task in zip(
        names, epsilon_curve("pgd", AttackSettings.pgd(1 / 255, 4), epsilons), strict=True
    ):
        assert by_name(found)[name].images == last.sum()
        alone = task.run(evaluated, np.arange(len(split))).correct
        np.testing.assert_array_equal(found.correct[name], alone & last)
        last = found.correct[name]
    assert last.sum() < found.correct["pgd 2/255"].sum()


# The outcome


def test_an_example_outside_epsilon_or_the_range_does_not_count(net, split):
    evaluated = EvaluatedModel(net, split, {}, 0)
    batch = evaluated.batch_at(np.arange(len(split)))
    wrong = evaluated.batch_at(np.arange(len(split))[::-1].copy()).images
    fooled = ~evaluated.is_correct(wrong, batch.labels)
    assert fooled.sum() > len(split) / 2
    assert torch.equal(evaluated.is_fooled(batch, wrong, "linf", 1.0), fooled)
    assert not evaluated.is_fooled(batch, wrong, "linf", 0.1).any()
    assert not evaluated.is_fooled(batch, wrong * 1.5, "linf", 1.0).all()
    assert not evaluated.is_fooled(batch, wrong - 2, "l2", 99.0).any()
    assert not evaluated.is_fooled(batch, wrong * torch.nan, "linf", 1.0).any()


class GradientOnly(nn.Module):
    """Wrong whenever gradients are recorded, so that attacks report success falsely."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images):
        logits = self.inner(images)
        return -logits if torch.is_grad_enabled() else logits


def test_an_attack_whose_success_is_rejected_runs_again_to_the_end(net, split, monkeypatch):
    evaluated = EvaluatedModel(GradientOnly(net), split, {}, 0)
    how = AttackSettings.bim(16 / 255, steps=4).model_copy(update={"until_fooled": True})
    everyone = evaluated.batch_at(np.arange(len(split)))
    clean = np.flatnonzero(evaluated.is_correct(everyone.images, everyone.labels).numpy())
    attacked = []

    def noted(classify, images, *arguments):
        attacked.append(len(images))
        return attack(classify, images, *arguments)

    monkeypatch.setattr(tasks, "attack", noted)
    outcome = GradientAttack(name="bim", threat="robust", attack=how).run(evaluated, clean)
    assert attacked == [len(clean)] and len(clean) > 15
    # The negated gradient lowers the loss, so no image is fooled.
    assert outcome.correct.all()


def test_a_lying_attack_is_not_believed(net, split, monkeypatch):
    def lie(classify, images, labels, *_):
        everything = torch.ones(len(labels), dtype=torch.bool)
        return AttackResult(1 - images, torch.zeros(len(labels)), everything)

    monkeypatch.setattr(tasks, "run_attack", lie)
    how = AttackSettings.bim(0.0).model_copy(update={"until_fooled": True})
    evaluated = EvaluatedModel(net, split, {}, 0)
    outcome = GradientAttack(name="bim", threat="robust", attack=how).run(evaluated, np.arange(24))
    clean = evaluated.is_correct(*evaluated.batch_at(np.arange(24))[:2]).numpy()
    np.testing.assert_array_equal(outcome.correct, clean)


# The cache

# The passes that make the cheaper copy for attacks and compare it with the model.
COMPARED = 3 * [FOLDING_CHECKED]


def test_finished_batches_are_not_repeated_and_figures_are_the_same(
    net, split, sets, tmp_path, monkeypatch
):
    undisturbed = measure(net, split, sets, STANDARD, 0)
    needed = len(net.seen)
    measure(net, split, sets, STANDARD, 0, tmp_path / "other")
    batches = len(files(tmp_path / "other"))

    run, left = GradientAttack.run, []

    def fail_after(task, evaluated, index):
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return run(task, evaluated, index)

    monkeypatch.setattr(GradientAttack, "run", fail_after)
    folder, before = tmp_path / "cache", {}
    for _ in range(100):
        left[:] = [None] * 2
        try:
            found = measure(net, split, sets, STANDARD, 0, folder)
            break
        except KeyboardInterrupt:
            assert len(files(folder)) >= len(before) + 2
            assert before.items() <= files(folder).items()
            before = files(folder)
    assert 2 < len(before) < len(files(folder)) == batches
    for metric, expected in undisturbed.correct.items():
        np.testing.assert_array_equal(found.correct[metric], expected)
    assert found.tasks == undisturbed.tasks

    net.seen.clear()
    again = measure(net, split, sets, STANDARD, 0, folder)
    assert net.seen == COMPARED and needed > 20
    assert again.tasks == found.tasks and again.seconds == found.seconds


@pytest.mark.parametrize("passes", [40, 200])
def test_a_killed_evaluation_continues(passes, tmp_path, split, net, sets):
    script = textwrap.dedent(
        """
        import logging, os, signal, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        import numpy as np, torch
        from conftest import Doubled, network
        from gratis.data.dataset import Split
        from gratis.evaluation import EvaluateSettings, measure
        from gratis.validation_sets import load
        torch.set_num_threads(1)
        root = Path(sys.argv[2])
        split = Split(np.load(root / "images.npy"), np.load(root / "labels.npy"))
        net = Doubled()
        class Killer(list):
            def append(self, size):
                super().append(size)
                if len(self) == int(sys.argv[3]):
                    os.kill(os.getpid(), signal.SIGKILL)
        logging.getLogger("batch sizes").handlers[0].sizes = Killer()
        settings = EvaluateSettings(
            suite="standard", pgd_steps=4, epsilon_l2=0.3, batch_size=3, examples="float32"
        )
        measure(net, split, load(root / "sets", split), settings, 0, root / "cache")
        """
    )
    np.save(tmp_path / "images.npy", split.images)
    np.save(tmp_path / "labels.npy", split.labels)
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", script, os.path.dirname(__file__), str(tmp_path), str(passes)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    before = files(cache)
    settings = STANDARD.model_copy(update={"batch_size": 3, "examples": "float32"})
    found = measure(net, split, sets, settings, 0, cache)
    assert before and before.items() <= files(cache).items() and len(files(cache)) > len(before)
    assert not list(cache.rglob("*.partial"))
    net.seen.clear()
    undisturbed = measure(net, split, sets, settings, 0)
    for metric, expected in undisturbed.correct.items():
        np.testing.assert_array_equal(found.correct[metric], expected)
    np.testing.assert_array_equal(found.examples.images, undisturbed.examples.images)


def other_weights(net, split):
    with torch.no_grad():
        net.inner[0].weight[0, 0, 0, 0] += 1e-3
    return net, split


def other_images(net, split):
    images = split.images.copy()
    images[0, 0, 0, 0] ^= 1
    return net, type(split)(images, split.labels)


@pytest.mark.parametrize(
    ("change", "settings", "seed"),
    [
        (None, {"epsilon_l2": 0.4}, 0),
        (None, {"pgd_steps": 5}, 0),
        (None, {"examples": "float32"}, 0),
        (None, {}, 1),
        (other_weights, {}, 0),
        (other_images, {}, 0),
    ],
)
def test_outcomes_of_other_models_images_or_settings_are_not_used(
    net, split, sets, tmp_path, change, settings, seed
):
    measure(net, split, sets, STANDARD, 0, tmp_path / "cache")
    if change is not None:
        net, split = change(net, split)
    settings = STANDARD.model_copy(update=settings)
    found = measure(net, split, sets, settings, seed, tmp_path / "cache")
    anew = measure(net, split, sets, settings, seed)
    assert found.tasks == anew.tasks
    net.seen.clear()
    measure(net, split, sets, settings, seed, tmp_path / "cache")
    assert net.seen == COMPARED


def test_another_batch_size_and_more_images_use_the_cache(net, split, sets, tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "CHECKED", ())  # they run on other images each time
    few = STANDARD.model_copy(update={"images": 12, "batch_size": 5})
    measure(net, split, sets, few, 0, tmp_path)
    found = measure(net, split, sets, STANDARD, 0, tmp_path)
    together = sum(net.seen)
    net.seen.clear()
    anew = measure(net, split, sets, STANDARD, 0)
    assert together == sum(net.seen)
    assert found.tasks == anew.tasks


def test_other_images_under_the_same_name_are_measured_again(net, split, tmp_path):
    fixed_set = tasks.FixedSet(name="geometric")
    keys = {
        fixed_set.key(
            EvaluatedModel(net, split, {"geometric": FixedImages(split.images, digest)}, 0)
        )
        for digest in ("a", "b")
    }
    assert len(keys) == 2


@pytest.mark.parametrize("damage", ["nonsense", "missing", "outside", "shape"])
def test_a_damaged_file_is_named(net, split, sets, tmp_path, damage):
    from safetensors.numpy import load_file, save_file

    measure(net, split, sets, EvaluateSettings(pgd_steps=1), 0, tmp_path / "cache")
    path = min(tmp_path.rglob("*.safetensors"))
    part = load_file(path)
    if damage == "nonsense":
        path.write_bytes(b"nonsense")
    elif damage == "missing":
        save_file({"index": part["index"]}, path)
    elif damage == "outside":
        save_file(part | {"index": part["index"] + 24}, path)
    else:
        save_file(part | {"correct": part["correct"][:3]}, path)
    with pytest.raises(GratisError, match=f"{path}: is not part of an evaluation.*; delete this"):
        measure(net, split, sets, EvaluateSettings(pgd_steps=1), 0, tmp_path / "cache")


class Small(nn.Module):
    """Runs out of memory on more than a few images."""

    def __init__(self, net, most):
        super().__init__()
        self.net, self.most = net, most

    def forward(self, images):
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.net(images)


def test_batches_are_halved_when_memory_runs_out(net, split, sets, caplog):
    caplog.set_level("INFO")
    wanted = measure(net, split, sets, STANDARD, 0)
    found = measure(Small(net, 4), split, sets, STANDARD, 0)
    for name, correct in wanted.correct.items():
        np.testing.assert_array_equal(found.correct[name], correct)
    assert found.checks == wanted.checks
    assert "out of memory with 10 images at a time: continuing with 5" in caplog.text
    assert "out of memory with 5 images at a time: continuing with 2" in caplog.text
    assert "with 2 images" not in caplog.text


def test_a_continued_evaluation_halves_the_batches_of_its_checks(
    net, split, sets, tmp_path, monkeypatch
):
    wanted = measure(net, split, sets, STANDARD, 0).checks
    with monkeypatch.context() as patch:
        patch.setattr(measuring, "run_checks", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            measure(Small(net, 4), split, sets, STANDARD, 0, tmp_path / "kept")
    assert measure(Small(net, 4), split, sets, STANDARD, 0, tmp_path / "kept").checks == wanted


SEEN: list[str] = []


class Normed(nn.Module):
    """Notes the type of its batch norm at every pass."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.last = nn.Linear(8, 5)

    def forward(self, images):
        SEEN.append(type(self.norm).__name__)
        return self.last(self.norm(self.convolution(images)).relu().mean((2, 3)))


@pytest.mark.parametrize(("suite", "folds"), [("table", False), ("standard", True)])
def test_attacks_of_the_strong_suites_run_on_a_folded_copy(suite, folds, split, sets):
    model = Normed()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    SEEN.clear()
    measure(model, split, sets, STANDARD.model_copy(update={"suite": suite}), 0)
    assert ("Identity" in SEEN) == folds and "BatchNorm2d" in SEEN
    assert type(model.norm) is nn.BatchNorm2d
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_running_out_of_memory_with_one_image_is_an_error(net, split, sets):
    table = STANDARD.model_copy(update={"suite": "table"})
    with pytest.raises(GratisError, match="out of memory with a single image"):
        measure(Small(net, 0), split, sets, table, 0)
