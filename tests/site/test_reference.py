"""The generated pages of the reference are what the script writes from the code."""

import importlib.util
import sys
from pathlib import Path

import pytest

import gratis
from gratis.recipe import Recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(ROOT / "scripts"))
    path = ROOT / "scripts" / "update_reference.py"
    spec = importlib.util.spec_from_file_location("update_reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(ROOT / "scripts"))


def test_the_generated_pages_are_up_to_date(script):
    for path, content in script.pages().items():
        assert path.read_text(encoding="utf-8") == content, "run scripts/update_reference.py"


def test_every_key_has_a_meaning(script):
    known = sys.modules["recipe_keys"]
    assert Recipe.model_fields.keys() <= known.meanings(Recipe).keys()
    rows = [line for line in script.keys_page().splitlines() if line.startswith("| `")]
    without = [row for row in rows if row.endswith("|  |")]
    assert not without, without


def test_the_page_of_the_python_api_has_every_public_name():
    text = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    shown = {line.removeprefix("::: gratis.") for line in text.splitlines() if line[:3] == ":::"}
    assert shown == {*gratis.__all__, "adversary.Adversary"}
