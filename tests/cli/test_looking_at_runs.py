"""Commands that look: runs ls, compare, doctor, --version; and early refusals with remedies."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.stats import binomtest

from gratis.cli.app import app, known_options
from gratis.cli.hints import _HINTS
from gratis.cli.names import DATA
from gratis.data.source import sources
from gratis.locks import locked
from gratis.results import Measurement, Results

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
EXTRAS = sorted(PROJECT["optional-dependencies"])
METRICS = ("clean", "geometric", "fgsm", "pgd")


@pytest.fixture
def measured(tmp_path):
    """Make the folder of a measured run: which of 100 images are correct under PGD, and more."""

    def make(name, correct, **changes):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text(f"name: {name}\ndata: {{name: digits}}\n")
        flags = {metric: np.ones(100, dtype=bool) for metric in METRICS} | {"pgd": correct}
        index = np.arange(100)
        Measurement(index, flags).save(folder / "correct.safetensors")
        fields = dict.fromkeys(METRICS, 1.0) | {
            **{"recipe": name, "title": name, "seed": 0, "pgd": float(correct.mean()), "n": 100},
            **{"classes": 10, "epsilon": 8 / 255, "pgd_steps": 20, "data": "digits"},
            **{"train_images": 10, "backbone": "x", "parameters": 1, "image_size": 8},
            **{"input_size": 8, "passes": 1, "epochs": 1, "seconds": 1, "device": "cpu"},
        }
        Results(**fields | changes).write(folder / "results.json")
        return folder

    return make


def test_runs_of_every_state_are_listed(measured, works, tmp_path, monkeypatch):
    correct = np.arange(100) < 30
    measured("free", correct)
    measured("autoattacked", correct, robust=0.2)
    for name, position in {
        "stopped": {"finished": False, "passes": 250, "images": 100},
        "trained": {"finished": True, "passes": 300, "images": 100},
        "damaged": {},
    }.items():
        (tmp_path / "deep" / name).mkdir(parents=True)
        (tmp_path / "deep" / name / "recipe.yaml").write_text(f"name: {name}\n")
        path = tmp_path / "deep" / name / "checkpoint.safetensors"
        save_file({"x": np.zeros(1)}, path, {"position": json.dumps(position)})
    (tmp_path / "begun").mkdir()
    # Whatever the file of a stranger holds.
    (tmp_path / "begun" / "recipe.yaml").write_text("name: begun\ndata: 5\n")
    (tmp_path / "results.json").write_text('{"rows": []}')  # a table, as reproduce writes it
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    found = json.loads(works("runs", "ls", tmp_path, "--json"))
    assert {run["recipe"]: (run["state"], run["robust"]) for run in found} == {
        "free": ("measured", 0.3),
        "autoattacked": ("measured", 0.2),
        "stopped": ("stopped at epoch 2.5", None),
        "trained": ("trained", None),
        "damaged": ("damaged", None),
        "begun": ("begun", None),
    }
    text = works("runs", "ls", tmp_path)
    assert "stopped at epoch" in text and "30.0" in text
    monkeypatch.setenv("COLUMNS", "70")
    narrow = " ".join(works("runs", "ls", tmp_path).split())
    # No results.json holds when a run has changed.
    assert "Left out at this width: changed, data; --json has all values." in narrow
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_run_that_a_process_works_on_is_running(works, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text("name: free\n")

    def state():
        return json.loads(works("runs", "ls", tmp_path, "--json"))[0]["state"]

    with locked(tmp_path / "run"):
        assert state() == "running"
    assert state() == "begun"


def test_an_empty_folder_and_none(works, refused, tmp_path):
    assert "no runs in" in works("runs", "ls", tmp_path)
    assert "is not a folder" in refused("runs", "ls", tmp_path / "missing")


def test_two_runs_are_compared_image_by_image(measured, works):
    images = np.arange(100)
    a, b = measured("a", images < 60), measured("b", (images >= 20) & (images < 60))
    found = json.loads(works("compare", a, b, "--json"))
    pgd = found["metrics"][-1]
    assert (pgd["metric"], pgd["a"], pgd["b"]) == ("pgd", 0.6, 0.4)
    assert (pgd["only_a"], pgd["only_b"]) == (20, 0)
    assert pgd["p"] == pytest.approx(binomtest(20, 20).pvalue)
    assert f"{a} is better than {b}: 60.0% against 40.0%" in found["conclusion"]
    assert "PGD-20 at epsilon 8/255" in found["conclusion"]
    text = works("compare", a, b)
    assert found["conclusion"] in text and "+20.0" in text


def test_a_difference_within_chance_is_called_so(measured, works):
    images = np.arange(100)
    a, b = measured("a", images < 40), measured("b", images >= 58)
    assert f"between {b} and {a} is not beyond chance" in works("compare", a, b)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"epsilon": 4 / 255}, "differ in epsilon (8/255 and 4/255)"),
        ({"data": "cifar10"}, "differ in data"),
        ({"resolved": {"fingerprint": "y"}}, "measured on other images"),
    ],
)
def test_other_images_are_not_compared(measured, refused, changes, message):
    correct = np.arange(100) < 40
    a = measured("a", correct, resolved={"fingerprint": "x"})
    assert message in refused("compare", a, measured("b", correct, **changes))


def test_the_doctor_says_what_is_missing(works, monkeypatch, tmp_path):
    from gratis.run import diagnosis

    monkeypatch.setattr(diagnosis, "find_spec", lambda name: None)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("GRATIS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "big").write_bytes(bytes(2**25))
    found = {each["name"]: each for each in json.loads(works("doctor", "--json"))}
    assert "torch" in found["versions"]["value"]
    for extra in EXTRAS:
        assert found[f"extra {extra}"]["remedy"] == f"pip install 'gratis[{extra}]'"
    assert ", 0.03 GiB used, " in found["cache"]["value"]
    assert "none in" in found["pretrained weights"]["value"]
    (tmp_path / "hub" / "models--timm--resnet18.a1_in1k").mkdir(parents=True)
    assert "resnet18.a1_in1k" in works("doctor")


def test_version_and_completion(works):
    assert works("--version").startswith("gratis ")
    assert "--install-completion" in works("--help")


@pytest.mark.parametrize(
    "arguments, hint",
    [
        (
            ["train", "free", "--epsilon", "4/255"],
            "adversary.free.epsilon=4/255 evaluate.epsilon=4/255",
        ),
        (["train", "free", "--epsilon=8"], "adversary.free.epsilon=8/255 evaluate.epsilon=8/255"),
        (["train", "resnet18", "--epsilon", "4/255"], "write evaluate.epsilon=4/255"),
        (["train", "free", "--seed", "3"], "write seed=3"),
        (["reproduce", "--seed", "3"], "write --seeds 3"),
        (["evaluate", "run", "--epsilon=4/255"], "write evaluate.epsilon=4/255"),
        (["train", "free", "--epochs", "5"], "write train.epochs=5"),
        (["data", "--data", "folder:my pets"], "write gratis data 'folder:my pets'"),
    ],
)
def test_options_of_other_tools_get_a_hint(arguments, hint, refused):
    assert hint in refused(*arguments)


def test_the_hint_on_epsilon_works(works):
    shown = works(
        "recipes", "show", "free", "adversary.free.epsilon=4/255", "evaluate.epsilon=4/255"
    )
    assert "epsilon: 0.0156" in shown


def test_hints_are_for_options_that_a_command_lacks():
    known = known_options()
    assert known.keys() >= _HINTS.keys()
    for command, hints in _HINTS.items():
        lacking = set(hints) - set(known[command])
        assert lacking, command
    assert app.registered_callback is not None


@pytest.mark.parametrize(
    "arguments, hint",
    [
        (["train", "fre"], "did you mean 'free'"),
        (["train", "free", "--profile", "digit"], "did you mean 'digits'"),
        (["timing", "free", "--data", "digit"], "did you mean 'digits'"),
        (["reproduce", "--profile", "digit"], "did you mean 'digits'"),
        (["data", "cifar"], "did you mean 'cifar10'"),
        (["train", "free", "--epsilon", "8"], "8/255"),
    ],
)
def test_typos_are_refused_before_torch_is_imported(arguments, hint):
    code = (
        f"import sys; sys.argv = ['gratis', *{arguments!r}]\n"
        "from gratis import cli\n"
        "try: cli.main()\n"
        "except SystemExit as stop: assert stop.code == 2\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert hint in done.stderr


def test_the_names_of_data_are_those_of_the_library():
    assert set(DATA) == set(sources())


@pytest.mark.parametrize("key", ["evaluate.epsilon", "adversary.free.epsilon"])
def test_an_epsilon_in_pixel_values_gets_a_hint(key, refused):
    assert "write 8/255" in refused("train", "free", f"{key}=8")
    assert "/255" not in refused("train", "free", f"{key}=-1")


def test_quiet_prints_the_result_alone(measured, works):
    correct = np.arange(100) < 40
    found = works("compare", measured("a", correct), measured("b", correct), "--quiet")
    assert "chance" in found
