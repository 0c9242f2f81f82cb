"""What ``import gratis`` gives, and what it costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gratis


def test_every_public_name_is_there_and_nothing_else():
    assert dir(gratis) == sorted(set(gratis.__all__)) and len(set(gratis.__all__)) == len(
        gratis.__all__
    )
    for name in gratis.__all__:
        assert getattr(gratis, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'evaluat'"):
        gratis.evaluat  # noqa: B018


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(gratis.__file__).read_text())
    (checked,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = [alias.name for part in checked.body for alias in part.names]
    assert sorted(seen) == sorted(gratis.__all__)


def test_importing_the_package_imports_no_torch_and_shadows_nothing():
    code = """
import sys, types, gratis
assert "torch" not in sys.modules and type(gratis) is types.ModuleType
for first in ("", "import gratis.evaluation", "from gratis import results"):
    for name in [name for name in sys.modules if name.partition(".")[0] == "gratis"]:
        del sys.modules[name]
    import gratis
    exec(first)
    assert callable(gratis.evaluate) and callable(gratis.attack) and callable(gratis.train)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
