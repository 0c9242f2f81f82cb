"""A full disk at any write gives one clear line, keeps old files, and a rerun succeeds."""

import os
import subprocess
import sys

import numpy as np
import pytest
from harness import TINY, Workspace, gratis, tree

from full_disk import at_most
from gratis.data.dataset import Split
from gratis.errors import GratisError
from gratis.report import figure1, write_tables
from gratis.results import Results
from gratis.results.measurement import Measurement
from gratis.validation_sets import build


def results(title="t"):
    shares = dict.fromkeys(("clean", "geometric", "fgsm", "pgd"), 0.5)
    numbers = dict.fromkeys(("pgd_steps", "train_images", "parameters", "image_size"), 8)
    return Results(
        **(shares | numbers | dict.fromkeys(("passes", "epochs", "seconds"), 1.0)),
        **dict.fromkeys(("recipe", "data", "backbone", "device"), "x"),
        **{"title": title, "seed": 0, "n": 9, "classes": 2, "epsilon": 0.1, "input_size": 8},
    )


def measurement(n):
    return Measurement(np.arange(n), {"clean": np.ones(n, dtype=bool)})


def perturbed(folder, seed):
    images = np.random.default_rng(0).integers(0, 256, (200, 8, 8, 3), dtype=np.uint8)
    build(folder, Split(images, np.arange(200) % 2), True, None, 0.1, seed)


# The function that writes each file; the longer the title, the larger the file.
SITES = {
    "table.md": lambda folder, title: write_tables([results(title)], folder),
    "table.csv": lambda folder, title: write_tables(rows(title), folder),
    "results.json": lambda folder, title: write_tables(rows(title), folder),
    "figure1.png": lambda folder, title: figure1([results(title)], folder / "figure1.png"),
    "correct.safetensors": lambda folder, title: measurement(len(title)).save(
        folder / "correct.safetensors"
    ),
    "run.json": lambda folder, title: results(title).write(folder / "run.json"),
    "sets": lambda folder, title: perturbed(folder / "sets", len(title)),
}


def rows(title):
    """Return enough rows that table.csv is larger than table.md, and results.json than both."""
    return [results(title).model_copy(update={"recipe": f"{number}"}) for number in range(30)]


@pytest.mark.parametrize("name", SITES)
def test_the_old_file_is_kept_and_a_rerun_succeeds(name, tmp_path):
    write, old, new = SITES[name], tmp_path / "old", tmp_path / "new"
    for folder, title in ((old, "old"), (new, "much newer")):
        folder.mkdir()
        write(folder, title)
    before, whole = tree(old), tree(new)
    site = next(key for key in sorted(whole) if key.startswith(name) and whole[key] is not True)
    assert before[site] != whole[site]
    with at_most(len(whole[site]) - 1), pytest.raises(GratisError) as caught:
        write(old, "much newer")
    assert f"{old / name}: cannot be written (File too large)" in str(caught.value)
    assert tree(old).keys() == before.keys()
    assert tree(old)[site] == before[site]

    absent = tmp_path / "absent"
    absent.mkdir()
    with at_most(len(whole[site]) - 1), pytest.raises(GratisError):
        write(absent, "much newer")
    assert site not in tree(absent)
    assert not [key for key in tree(absent) if key.endswith(".partial")]
    write(old, "much newer")
    assert tree(old) == whole


# A command, by the file for which the disk is too small.
COMMANDS = {
    "recipe.yaml": ["train", "free", "--out", "run", *TINY],
    "mine.yaml": ["recipes", "copy", "free", "mine.yaml"],
    "perturbed": ["perturb", "run", "--out", "perturbed"],
    "evaluation/sample_images.safetensors": ["evaluate", "run"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_gives_one_line_and_a_rerun_succeeds(name, finished, tmp_path):
    workspace = Workspace(tmp_path, finished)
    if name != "recipe.yaml":
        workspace.run()
    before = files(tmp_path)
    with at_most(len(before.get(f"run/{name}", bytes(101))) - 1):
        code, stderr = gratis(COMMANDS[name], tmp_path)
    assert code == 2
    assert stderr.count("error: ") == 1 and f"{name}: cannot be written" in stderr
    assert files(tmp_path) == before
    code, stderr = gratis(COMMANDS[name], tmp_path)
    assert code == 0, stderr


def files(folder):
    return {key: content for key, content in tree(folder).items() if content is not True}


def test_a_process_of_its_own_on_a_full_disk(finished, tmp_path):
    run = Workspace(tmp_path, finished).run()
    before = tree(run)
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    code += "from gratis import cli; cli.main()\n"
    done = subprocess.run(
        [sys.executable, "-c", code, "evaluate", str(run)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2
    assert (
        done.stderr.splitlines()[-1].startswith("error: ")
        and "correct.safetensors: cannot be written" in done.stderr.splitlines()[-1]
    )
    assert "Traceback" not in done.stderr
    assert tree(run) == before
