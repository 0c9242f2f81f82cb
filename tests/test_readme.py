"""README and docs show what was measured, their commands exist and their links lead somewhere."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
INDEX = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.fixture(scope="module")
def script():
    path = ROOT / "scripts" / "update_readme.py"
    spec = importlib.util.spec_from_file_location("update_readme", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readme_table_is_that_of_the_committed_results(script):
    assert script.updated(README) == README
    rows = re.findall(r"^\| `.*", README, re.MULTILINE)
    assert 1 <= len(rows) <= 8
    assert {row.count("|") - 1 for row in rows} == {5}


def test_tables_in_docs_are_those_of_the_committed_results(script):
    tables = script.tables()
    assert tables
    for path, content in tables.items():
        assert path.read_text(encoding="utf-8") == content, path


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text("utf-8")):
        path = page.parent / target if target else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), f"{target}#{anchor}"


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_index_links_every_page():
    linked = {(ROOT / "docs" / target).resolve() for target in re.findall(r"\]\(([^)#]+)", INDEX)}
    assert {page for page in (ROOT / "docs").glob("*.md") if page.name != "README.md"} <= linked


# What the second block of Python needs: a loader, a model and an optimizer of the reader's.
OWN_LOOP = """
import torch
from torch import nn
from torch.nn import functional

import gratis

loader = [(torch.rand(8, 3, 8, 8), torch.randint(10, (8,)))] * 2
progress = 0.5
model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
optimizer = torch.optim.SGD(model.parameters(), 0.1)
"""
CHECK = """
change = (adversarial - images).abs().max()
assert 0 < change <= 8 / 255 + 1e-6 and adversarial.min() >= 0 and adversarial.max() <= 1
print("attacked")
"""


def python_block(number):
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)[number]


def run_python(source, folder):
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_python_of_readme_trains_loads_and_evaluates(tmp_path):
    block = python_block(0)
    assert block.count('"2m"') == 1
    printed = run_python(block.replace('"2m"', '"2s"'), tmp_path)
    assert re.search(r"[\d.]+% clean, [\d.]+% under PGD-20", printed)


def test_python_of_readme_attacks_in_a_loop_of_the_readers(tmp_path):
    assert "attacked" in run_python(OWN_LOOP + python_block(1) + CHECK, tmp_path)
