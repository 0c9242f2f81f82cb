"""The versions of dependencies that an installer may choose."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
TABLE = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = TABLE["project"]
CI = (ROOT / ".ci" / "run").read_text()
FOUND = {r.name: r for r in map(Requirement, PROJECT["dependencies"])}


@pytest.mark.parametrize("version", ["2.6.2", "2.6.3"])
def test_compromised_releases_are_never_installed(version):
    assert not FOUND["lightning-fabric"].specifier.contains(version)
    assert "lightning" not in FOUND and "pytorch-lightning" not in FOUND


def test_torch_is_new_enough_for_a_safe_weights_only():
    # Before 2.6 torch.load(weights_only=True) could be made to run code (CVE-2025-32434).
    assert not FOUND["torch"].specifier.contains("2.5.1")


@pytest.mark.parametrize("name", sorted(FOUND))
def test_every_dependency_has_a_lowest_version(name):
    assert any(part.operator == ">=" for part in FOUND[name].specifier)


def test_onnxruntime_refuses_weights_outside_the_folder_of_a_file():
    # 1.23 read any file; 1.24 to 1.26 still did for sparse tensors.
    for requirements in (
        PROJECT["optional-dependencies"]["onnx"],
        TABLE["dependency-groups"]["dev"],
    ):
        named = [Requirement(line) for line in requirements if isinstance(line, str)]
        (found,) = (requirement for requirement in named if requirement.name == "onnxruntime")
        assert not found.specifier.contains("1.26.0") and found.specifier.contains("1.27.0")


def test_a_lock_does_not_truncate_what_a_link_leads_to():
    assert not FOUND["filelock"].specifier.contains("3.20.0")
    assert FOUND["filelock"].specifier.contains("3.20.1")


def test_ci_runs_tests_with_the_lowest_versions():
    joined = CI.replace("\\\n", "")
    command = next(line for line in joined.splitlines() if line.startswith("uv run --with "))
    named = FOUND | {r.name: r for r in map(Requirement, PROJECT["optional-dependencies"]["onnx"])}
    versions = dict(re.findall(r"--with (\S+)==(\S+)", command))
    read_files = {"filelock", "onnx", "onnxruntime", "pyyaml", "safetensors"}
    assert versions.keys() == read_files | {"lightning-fabric"}
    for name, version in versions.items():
        (lowest,) = (part for part in named[name].specifier if part.operator == ">=")
        assert Version(version) == Version(lowest.version)
