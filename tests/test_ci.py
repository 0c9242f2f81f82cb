"""CI, pre-commit hooks, README and metadata agree."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, TOOLS = PYPROJECT["project"], PYPROJECT["tool"]


def commands_of_section(title):
    """Return the commands of the section of .ci/run whose banner begins with ``title``."""
    (section,) = (part for part in CI.split('echo "== ')[1:] if part.startswith(title))
    return [line for line in section.splitlines()[1:] if line.startswith("uv run ")]


def test_hooks_are_the_checks_of_ci():
    (local,) = HOOKS["repos"]
    # A local repository: pre-commit fetches nothing.
    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == commands_of_section("lint")
    assert all(hook["language"] == "system" for hook in local["hooks"])
    assert all(hook["pass_filenames"] is False for hook in local["hooks"])


def test_the_type_checker_reads_what_it_must_accept_and_refuse():
    assert "uv run mypy" in commands_of_section("lint")
    assert {"src", "tests/typed_use.py"} <= set(TOOLS["mypy"]["files"])


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_pages_show_the_test_command_of_ci(page):
    (command,) = commands_of_section("tests")
    shown = re.findall(r"^(uv run pytest.*?)(?:  .*)?$", (ROOT / page).read_text(), re.MULTILINE)
    assert command in shown


def test_citation_has_the_required_keys_and_the_version():
    assert CITATION.keys() >= {"cff-version", "message", "title", "authors"}
    assert str(CITATION["version"]) == PROJECT["version"]
    assert CITATION["license"] == PROJECT["license"]
    titles = [reference["title"] for reference in CITATION["references"]]
    assert any("Scheduling, Augmentations, and Denoising" in title for title in titles)
    assert all(reference.keys() >= {"type", "authors"} for reference in CITATION["references"])


def test_classifiers_begin_at_the_oldest_python():
    versions = [
        classifier.rpartition(" ")[2]
        for classifier in PROJECT["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", classifier)
    ]
    assert re.fullmatch(rf">={re.escape(versions[0])}(\.\d+)?", PROJECT["requires-python"])
    minors = [int(version.partition(".")[2]) for version in versions]
    assert minors == list(range(minors[0], minors[-1] + 1))


def test_contributing_lists_the_packages_in_the_order_of_the_layers():
    contracts = TOOLS["importlinter"]["contracts"]
    (contract,) = (one for one in contracts if one.get("containers") == ["gratis"])
    names = [name.strip() for layer in contract["layers"] for name in layer.split("|")]
    packages = [name for name in names if (ROOT / "src" / "gratis" / name).is_dir()]
    table = re.findall(r"^\| \d+ \| (`.*?) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.M)
    listed = [name for cell in table for name in re.findall(r"`(\w+)`", cell)]
    assert [name for name in listed if name in packages] == packages
