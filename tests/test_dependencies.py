"""The versions of dependencies that an installer may choose."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
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
