"""The README shows what was measured, and its commands exist."""

import importlib.util
import re
from pathlib import Path

from typer.main import get_command

from gratis.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_committed_results():
    path = ROOT / "scripts" / "update_readme.py"
    spec = importlib.util.spec_from_file_location("update_readme", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.updated(README, ROOT / "docs" / "results") == README


def test_every_command_shown_exists_and_every_command_is_shown():
    shown = set(re.findall(r"^ {4}.*?gratis ([a-z]+)", README, re.MULTILINE))
    assert shown == set(get_command(app).commands)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)", README):
        assert (ROOT / target).exists(), target
