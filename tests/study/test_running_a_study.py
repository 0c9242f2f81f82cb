"""A study on digits, from the command line, and what it repeats."""

import pytest
from typer.testing import CliRunner

from gratis.cli.app import app
from gratis.errors import GratisError
from gratis.packaged import study_names
from gratis.recipe import resolve
from gratis.study import read_results, running

STUDY = """\
title: two epsilons and noise
recipe: free
metrics: [clean, pgd]
measure: [gaussian]
variants:
  small: {set: {adversary.free.epsilon: 0.01}}
  usual: {set: {adversary.free.epsilon: epsilon}}
claims:
  - paper: a larger epsilon helps.
    expects: [{expect: higher, metric: pgd, of: usual, than: small}]
"""
TINY = [
    "train.epochs=0.2",
    "model.channels=[8, 8, 8, 8]",
    "evaluate.images=20",
    "evaluate.pgd_steps=2",
    "train.held_out_per_class=0",
]


@pytest.fixture
def run_command(tmp_path):
    """Run the command with more arguments."""
    file = tmp_path / "two.yaml"
    file.write_text(STUDY)
    given = ["study", str(file), "--profile", "digits", "--out", str(tmp_path / "out"), *TINY]
    return lambda *more: CliRunner().invoke(app, [*given, *more], catch_exceptions=False)


@pytest.fixture
def run(run_command, tmp_path):
    def study(*more):
        result = run_command(*more)
        assert result.exit_code == 0, result.output
        return read_results(tmp_path / "out/two")

    return study


def test_a_study_trains_measures_and_resumes(run, tmp_path):
    first = run("--seeds", "1")
    assert first.seeds == 1 and set(first.variants) == {"small", "usual"}
    for of in first.variants.values():
        assert {"clean", "pgd", "gaussian_0.1"} <= set(of.values)
        assert all(0 <= value <= 100 for values in of.values.values() for value in values)
    trained = {p: p.stat().st_mtime_ns for p in tmp_path.glob("out/runs/*/checkpoint.safetensors")}
    assert len(trained) == 3  # two variants and the baseline of the sets
    both = run("--seeds", "2")
    assert both.seeds == 2
    assert all(path.stat().st_mtime_ns == time for path, time in trained.items())
    for name, of in first.variants.items():
        again = both.variants[name].values
        assert {m: v[0] for m, v in again.items()} == {m: v[0] for m, v in of.values.items()}
    page = (tmp_path / "out/two/study.md").read_text()
    assert "paired t-test" in page and "a larger epsilon helps." in page


def test_studies_are_listed():
    result = CliRunner().invoke(app, ["study", "ls"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == study_names()


@pytest.mark.parametrize("name", ["runs", "perturbed", "two"])
def test_nothing_is_written_through_a_link_in_the_folder(run_command, tmp_path, name):
    (tmp_path / "other").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(tmp_path / "other")
    with pytest.raises(GratisError, match=f"{name}: is a symbolic link"):
        run_command("--seeds", "1")
    assert not list((tmp_path / "other").iterdir())


def test_a_measurement_is_kept_in_a_file_of_the_run_or_refused(tmp_path):
    recipe, sets = resolve("free", "digits", []), tmp_path / "sets"
    sets.mkdir()
    (sets / "manifest.json").write_text("{}")
    folder = tmp_path / "measurements"
    folder.mkdir()
    for content in ("[]", '{"key": 1, "values": {}}', '{"key": "a", "values": {"b": "x"}}'):
        (folder / "gaussian.json").write_text(content)
        with pytest.raises(GratisError, match=r"gaussian\.json \(delete it\)"):
            running._measure("gaussian", recipe, tmp_path, sets)
    folder.rename(tmp_path / "other")
    folder.symlink_to(tmp_path / "other")
    with pytest.raises(GratisError, match="measurements: is a symbolic link"):
        running._measure("gaussian", recipe, tmp_path, sets)


PROFILE = """\
title: five digits
all:
  data: {name: digits, classes: 5}
  model: {pretrained: false, input_size: 8, channels: [8, 8, 8, 8], head: {width: 8}}
  train: {epochs: 0.2, batch_size: 64, held_out_per_class: 0}
  evaluate: {images: 20, pgd_steps: 2}
"""
START = """\
title: from other digits or from scratch
recipe: resnet18
metrics: [clean]
pretrain: {recipe: augmented, set: {data.first_class: 5, data.classes: 3}}
variants:
  scratch: {}
  tuned: {pretrained: true}
"""


def test_variants_start_from_a_network_of_other_classes(tmp_path):
    (tmp_path / "start.yaml").write_text(START)
    (tmp_path / "five.yaml").write_text(PROFILE)
    given = [str(tmp_path / "start.yaml"), "--profile", str(tmp_path / "five.yaml"), "--seeds", "1"]
    command = ["study", *given, "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    results = read_results(tmp_path / "out/start")
    folders = {
        name: tmp_path / f"out/runs/{of.recipe}-seed0" for name, of in results.variants.items()
    }
    tuned = (folders["tuned"] / "recipe.yaml").read_text()
    (start,) = tmp_path.glob("out/runs/augmented-*-seed0")
    assert f"weights: {start}" in tuned and "first_class: 5" in (start / "recipe.yaml").read_text()
    assert "weights" not in (folders["scratch"] / "recipe.yaml").read_text()
    assert not (start / "results.json").exists()
