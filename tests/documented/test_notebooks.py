"""The notebooks of examples run at a small size, and what they show in the repository is small."""

import json

import nbformat
import pytest
from documented_pages import ROOT, script

executed = script("run_notebooks").executed

NOTEBOOKS = {
    "own-loop": {"STEPS": 8},
    "harden-a-model": {"NATURAL_EPOCHS": 0.2, "EPOCHS": 0.2, "IMAGES": 8},
    "read-a-report": {"EPOCHS": 0.2, "IMAGES": 8},
}
LARGEST_OUTPUT = 40_000  # bytes
# What a kernel runs first: fewer models, pictures and steps of the sanity checks.
STARTUP = """
from gratis.evaluation import sanity_attacks
from gratis.run import frontier, sample_images
frontier.ALPHAS, sample_images.IMAGES, sanity_attacks.MANY = (0.0, 0.5, 1.0), 1, 5
"""


def test_every_notebook_is_run():
    assert {path.stem for path in (ROOT / "examples").glob("*.ipynb")} == set(NOTEBOOKS)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs(name, tmp_path, monkeypatch):
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "few.py").write_text(STARTUP)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    path = ROOT / "examples" / f"{name}.ipynb"
    committed, ran = nbformat.read(path, 4), executed(path, tmp_path, NOTEBOOKS[name])
    assert any(kinds(ran))
    assert not any(kinds(committed)) or kinds(ran) == kinds(committed)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_committed_outputs_are_small_and_without_errors(name):
    notebook = nbformat.read(ROOT / "examples" / f"{name}.ipynb", 4)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            assert output.output_type in {"stream", "display_data"}
            assert output.get("name") != "stderr"
            assert len(json.dumps(output)) < LARGEST_OUTPUT
    # No path of the machine that made the outputs.
    assert "/tmp/" not in json.dumps(notebook) and str(ROOT) not in json.dumps(notebook)


def kinds(notebook):
    """Return the kinds of the outputs of every cell: text in one stream, or a picture."""
    return [[out.output_type for out in cell.get("outputs", ())] for cell in notebook.cells]
