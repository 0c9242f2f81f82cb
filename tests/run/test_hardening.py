"""Trained models made robust: what a hardened run holds, resumes and refuses."""

import json
import shutil
from contextlib import nullcontext

import pytest
import torch

import gratis
from gratis.attacks import AttackSettings
from gratis.data import hold_out, to_float
from gratis.digests import tensors_digest
from gratis.errors import GratisError, Interrupted
from gratis.evaluation.curve import measure_curve
from gratis.recipe import resolve
from gratis.report import what_changed
from gratis.run import evaluate_run, fitting, frontier, load_run, resume, train
from gratis.run.folder import RunFolder
from gratis.run.interpolation import interpolate
from gratis.training import checkpoint_file

TINY = ["model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3"]
SHORT = [
    "evaluate.images=30",
    "evaluate.pgd_steps=2",
    "train.batch_size=32",
    "train.log_every_steps=1",
]
OPTIONS = {"budget": None, "epsilon": "26/255"}


@pytest.fixture(scope="module", autouse=True)
def few_models():
    """Measure three models of the frontier, to save time."""
    patch = pytest.MonkeyPatch()
    patch.setattr(frontier, "ALPHAS", (0.0, 0.5, 1.0))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def natural(tmp_path_factory):
    """A finished natural run on three classes of digits; to be read only."""
    path = tmp_path_factory.mktemp("natural") / "natural"
    train(resolve("resnet18", "digits", [*TINY, *SHORT, "train.epochs=6"]), path)
    return path


@pytest.fixture(scope="module")
def kept(natural, tmp_path_factory):
    """The natural run hardened on its own data, for three epochs; to be read only."""
    return harden(natural, tmp_path_factory.mktemp("kept") / "run")


@pytest.fixture(scope="module")
def adapted(natural, tmp_path_factory):
    """The natural run hardened on four classes, of which one is new; to be read only."""
    path = tmp_path_factory.mktemp("adapted") / "run"
    return harden(natural, path, "data.classes=4", data="digits")


def harden(model, path, *overrides, epochs=3, **options):
    changes = [*SHORT, f"train.epochs={epochs}", *overrides]
    return gratis.harden(model, out=path, overrides=changes, **(OPTIONS | options))


def state_of(path):
    return load_run(path)[0].state_dict()


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def hardened_state(run):
    tensors, _ = checkpoint_file.read(run.checkpoint)
    prefix = "average.module."
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


# What comes out


def test_a_model_whose_classes_fit_is_hardened_without_natural_training(natural, kept):
    recipe, results = kept.recipe(), kept.results()
    assert recipe.harden.natural_training is None and results.before is not None
    before = kept.path / "natural" / "results.json"
    assert json.loads(before.read_text())["clean"] == results.before.clean
    start, _ = checkpoint_file.read(kept.start)
    assert same(start, state_of(natural)) and tensors_digest(start) == recipe.harden.digest
    assert results.passes == pytest.approx(3 * len(training_images(kept)), abs=32)


def test_a_model_with_other_classes_trains_naturally_first(natural, adapted):
    before = RunFolder(adapted.natural)
    assert set(before.recipe().adversary.chosen()) == {"natural"}
    assert before.recipe().train.epochs == pytest.approx(0.9)
    assert adapted.recipe().train.epochs == pytest.approx(2.1)
    # It continues the given model: its first layer has moved only a little.
    first = "backbone.conv1.weight"
    given, trained = state_of(natural)[first], state_of(before.path)[first]
    assert 0 < (trained - given).norm() < 0.5 * given.norm()
    results = adapted.results()
    assert results.before.clean == before.results().clean
    images = len(training_images(adapted))
    assert results.passes == pytest.approx(3 * images, abs=64)
    assert gratis.evaluate(before.path).clean == results.before.clean


def training_images(run):
    dataset = load_run(run.path)[3]
    return hold_out(dataset.train, run.recipe().train.held_out_per_class)[0]


def test_attacks_grow_from_nothing_to_epsilon(kept):
    lines = [json.loads(line) for line in (kept.path / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    epsilons, replays = ([line[key] for line in steps] for key in ("epsilon", "replays"))
    assert epsilons == sorted(epsilons) and epsilons[0] < 0.5 * 26 / 255
    assert epsilons[-1] == pytest.approx(26 / 255)
    assert set(replays) == {4}


def test_the_frontier_is_between_the_natural_and_the_hardened_model(natural, kept):
    found = kept.frontier()
    assert [point.alpha for point in found.points] == [0.0, 0.5, 1.0]
    assert found.epsilon == pytest.approx(26 / 255) and found.chosen in (0.0, 0.5, 1.0)
    assert max(found.points, key=lambda point: point.expected) == found.chosen_point
    model, _, recipe, dataset = load_run(kept.path)
    _, held_out = hold_out(dataset.train, recipe.train.held_out_per_class)
    images, labels = dataset.train.images[held_out], dataset.train.labels[held_out]
    assert found.images == len(held_out)
    for point, state in ((found.points[0], state_of(natural)), (found.points[2], None)):
        model.load_state_dict(hardened_state(kept) if state is None else state)
        with torch.no_grad():
            right = model(to_float(images, "cpu")).logits.argmax(1).numpy() == labels
        assert point.clean == pytest.approx(right.mean())


def test_the_chosen_model_is_what_the_run_is(natural, kept):
    chosen, state = kept.frontier().chosen, state_of(kept.path)
    expected = interpolate(state_of(natural), hardened_state(kept), chosen)
    weights = [name for name, _ in gratis.load(kept).classifier.named_parameters()]
    assert all(torch.allclose(state[name], expected[name], atol=1e-6) for name in weights)
    assert gratis.evaluate(kept).clean == kept.results().clean
    # A hardened run is a starting point too.
    again, _ = checkpoint_file.read(kept.chosen)
    assert same(again, state)


def test_a_model_between_is_measured_as_it_is_stored(kept, tmp_path):
    point = kept.frontier().chosen_point
    model, _, recipe, dataset = load_run(kept.path)
    _, held_out = hold_out(dataset.train, recipe.train.held_out_per_class)
    epsilons = tuple(epsilon for epsilon, _ in point.curve[1:])
    attack = AttackSettings.pgd(26 / 255, frontier.PGD_STEPS)
    split = dataset.train.take(held_out)
    assert measure_curve(model, split, attack, epsilons, 0, tmp_path) == point.curve


def test_the_sentence_has_both_accuracies(kept):
    results = kept.results()
    text = what_changed(results)
    assert text.startswith("Hardened at epsilon 26/255 in ")
    assert f"{100 * results.before.clean:.1f}% before, {100 * results.clean:.1f}% after" in text
    assert f"{100 * results.before.robust:.1f}% before, {100 * results.robust:.1f}% after" in text
    curve = [accuracy for _, accuracy in results.curve]
    assert len(curve) == 5 and curve[-1] <= results.expected <= curve[0]


# Choosing again


def test_another_keep_clean_chooses_again_without_training(natural, kept, tmp_path):
    run = shutil.copytree(kept.path, tmp_path / "run")
    trained = (run / "checkpoint.safetensors").read_bytes()
    parts = {path.name for path in (run / "frontier").iterdir()}
    careful = harden(natural, run, keep_clean=0)
    found = careful.frontier()
    least = found.points[0].clean
    assert found.keep_clean == 0 and found.chosen_point.clean >= least - 1e-9
    allowed = [point.pgd for point in found.points if point.clean >= least - 1e-9]
    assert found.chosen_point.pgd == max(allowed)
    assert (run / "checkpoint.safetensors").read_bytes() == trained
    assert {path.name for path in (run / "frontier").iterdir()} == parts
    assert same(state_of(run), checkpoint_file.read(careful.chosen)[0])
    assert careful.results().resolved["harden"]["keep_clean"] == 0


def test_the_same_call_does_nothing_again(natural, kept, tmp_path, monkeypatch):
    run = shutil.copytree(kept.path, tmp_path / "run")
    monkeypatch.setattr(frontier, "measure_curve", None)
    monkeypatch.setattr(fitting, "fit", None)
    assert harden(natural, run).results() == kept.results()
    assert resume(run) == kept.results()
    assert evaluate_run(run, None, ["evaluate.images=10"]).before is None


# Interruptions


def stop_after(monkeypatch, steps):
    left = iter([False] * steps)
    monkeypatch.setattr(fitting, "stopping", lambda: nullcontext(lambda: next(left, True)))


def outcome(run):
    content = json.loads(RunFolder(run).results_file.read_text())
    return {k: v for k, v in content.items() if k != "seconds"}


def test_hardening_resumes_wherever_it_was_interrupted(natural, adapted, tmp_path, monkeypatch):
    run = tmp_path / "run"
    # In natural training, which takes about 13 steps, and then under attack.
    for steps, go in (
        (2, lambda: harden(natural, run, "data.classes=4", data="digits")),
        (25, lambda: resume(run)),
    ):
        with monkeypatch.context() as patch:
            stop_after(patch, steps)
            with pytest.raises(Interrupted, match=rf"gratis resume {run}$"):
                go()
        with pytest.raises(GratisError, match=f"unfinished; run: gratis resume {run}"):
            gratis.load(run)
    assert (run / "natural" / "checkpoint.safetensors").is_file()
    assert (run / "checkpoint.safetensors").is_file()
    with monkeypatch.context() as patch:
        patch.setattr(frontier, "choose", interrupt)
        with pytest.raises(KeyboardInterrupt):
            resume(run)
    with pytest.raises(GratisError, match=f"unfinished; run: gratis resume {run}"):
        gratis.load(run)
    resume(run)
    assert same(state_of(run), state_of(adapted.path))
    assert RunFolder(run).frontier() == adapted.frontier()
    assert outcome(run) == outcome(adapted.path)


def interrupt(*arguments):
    raise KeyboardInterrupt


# What is refused


def test_the_folder_of_another_model_is_refused(natural, kept, tmp_path):
    run = shutil.copytree(kept.path, tmp_path / "run")
    other = tmp_path / "other"
    train(resolve("resnet18", "digits", [*TINY, *SHORT, "train.epochs=1", "seed=1"]), other)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(GratisError, match=r"harden\.digest"):
        harden(other, run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_weights_that_were_exchanged_are_refused(natural, kept, tmp_path):
    run = shutil.copytree(kept.path, tmp_path / "run")
    shutil.copy(kept.start, run / "chosen.safetensors")
    with pytest.raises(GratisError, match=r"chosen\.safetensors: belongs to another run"):
        gratis.load(run)
    (run / "chosen.safetensors").write_bytes(b"damaged")
    with pytest.raises(GratisError, match="damaged"):
        gratis.load(run)
    (run / "chosen.safetensors").unlink()
    assert resume(run).clean == kept.results().clean


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epsilon": 0}, "epsilon: must be above 0 and at most 1, such as 4/255"),
        ({"epsilon": "four"}, "epsilon: 'four' is not a number"),
        ({"adversary": "fgsm"}, "adversary: choose from free, n_fgsm, not 'fgsm'"),
        ({"keep_clean": -1}, "keep_clean"),
        ({"overrides": ["model.backbone=resnet50"]}, "hardening sets this key; see gratis harden"),
        ({"overrides": ["model.input_size=64"]}, "hardening sets this key; use input_size"),
        ({"overrides": ["adversary=pgd"]}, "hardening sets this key; use adversary"),
        ({"overrides": ["train.held_out_per_class=0"]}, "harden needs train.held_out_per_class"),
        ({"model": "net.onnx"}, "an ONNX file has no gradients"),
        ({"model": "resnet81", "data": "digits"}, "resnet81"),
    ],
)
def test_a_wrong_request_is_refused_and_leaves_nothing(natural, tmp_path, changes, message):
    options = {"model": natural, "data": "digits" if changes.get("model") else None} | changes
    with pytest.raises(GratisError, match=message):
        gratis.harden(options.pop("model"), out=tmp_path / "run", budget=None, **options)
    assert not any(tmp_path.iterdir())


def test_a_model_that_is_no_run_needs_data():
    with pytest.raises(GratisError, match='name the data, such as data="folder:PATH"'):
        gratis.harden("resnet18")


def test_the_recipe_alone_names_the_command(tmp_path):
    recipe = resolve("harden/free", "digits", [*TINY, *SHORT])
    with pytest.raises(GratisError, match="name it: gratis harden MODEL"):
        train(recipe, tmp_path / "run")
