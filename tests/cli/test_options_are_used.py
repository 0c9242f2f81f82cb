"""No command takes an option and does nothing with it."""

import ast
import inspect
import textwrap

import pytest

from gratis.cli.app import app


def commands():
    """Return the function of every command, by its name."""
    groups = [app, *(group.typer_instance for group in app.registered_groups)]
    found = [command.callback for group in groups for command in group.registered_commands]
    return {function.__name__: inspect.unwrap(function) for function in found}


@pytest.mark.parametrize("name", commands())
def test_every_option_is_used(name):
    function = commands()[name]
    # The decorator takes this one.
    options = set(inspect.signature(function).parameters) - {"trust_code"}
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    read = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    assert options <= read
