"""README and docs show what was measured, their commands exist and their links lead somewhere."""

import importlib.util
import re
from pathlib import Path

import pytest

from gratis.run import sample_images

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


@pytest.fixture
def run_python(tmp_path, monkeypatch, run_script):
    """Run code as a script in an empty folder; return what it prints."""

    def run(source):
        folder = tmp_path / "here"
        folder.mkdir()
        monkeypatch.chdir(folder)
        script = tmp_path / "readme.py"
        script.write_text(source)
        code, streams = run_script(script)
        assert code == 0
        return streams.out

    return run


@pytest.mark.slow
def test_python_of_readme_trains_loads_and_evaluates(run_python, monkeypatch):
    monkeypatch.setattr(sample_images, "IMAGES", 1)
    block = python_block(0)
    assert block.count('"2m"') == 1
    printed = run_python(block.replace('"2m"', '"2s"'))
    assert re.search(r"[\d.]+% clean, [\d.]+% under PGD-20", printed)


def test_python_of_readme_attacks_in_a_loop_of_the_readers(run_python):
    assert "attacked" in run_python(OWN_LOOP + python_block(1) + CHECK)
