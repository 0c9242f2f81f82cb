"""Write the generated pages of docs/reference: the commands, and the keys of a recipe.

The command::

    uv run python scripts/update_reference.py

Commands are written by typer from their help, keys from the settings and their docstrings.
"""

import html
import re
from pathlib import Path

from recipe_keys import tables
from typer import Context
from typer.cli import get_docs_for_click
from typer.core import TyperGroup
from typer.main import get_command

from gratis.cli.app import app
from gratis.recipe import Recipe

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- Written by scripts/update_reference.py -->"
COMMANDS = f"""{NOTE}

# Commands

What `gratis COMMAND --help` prints, for every command. A command that fails on its input prints
one line and ends with exit code 2.
"""
KEYS = f"""{NOTE}

# Keys of a recipe

Every key with what it takes, its default and its meaning. [Recipes](../recipes.md) explains how to
write one, and `gratis recipes show RECIPE --profile NAME` prints all values of a packaged one. An
unknown key is an error that names the nearest known one.

A *schedule* is a number, or one of the [shapes](../schedules.md) that change it during training. A
*fraction* is a number, or text such as `8/255`. The default *none* means that the key is absent.
"""


def commands_page() -> str:
    """Return the page of the commands: typer's, with the whole first line of every help."""
    command = get_command(app)
    assert isinstance(command, TyperGroup)
    written = html.unescape(
        get_docs_for_click(obj=command, ctx=Context(command, info_name="gratis"), name="gratis")
    )
    _, first, rest = written.partition("## `gratis train`")
    listed = [
        f"| [`gratis {name}`](#gratis-{name}) | {(one.help or '').strip().splitlines()[0]} |"
        for name, one in command.commands.items()
    ]
    table = "\n".join(["| command | what it does |", "| --- | --- |", *listed])
    # The list of a group repeats the headings below it, in words that are cut off.
    rest = re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+\n", "", rest)
    # Bars of typer's ranges and of choices are no columns here; angles are no tags.
    return f"{COMMANDS}\n{table}\n\n{first}{_readable(rest)}".rstrip() + "\n"


def _readable(text: str) -> str:
    """Return typer's Markdown with its angles and asterisks shown as they are."""
    lines = []
    for line in text.splitlines():
        option = re.match(r"\* (`[^`]*`)(: )?(.*)", line)
        if option:
            words = re.sub(r"([*<])", r"\\\1", option[3])
            line = f"- {option[1]}" + (f": {words}" if words else "")
        elif not line.startswith(("#", "$", "```", "**")):
            line = re.sub(r"([*<])", r"\\\1", line)
        lines.append(line)
    return "\n".join(lines)


def keys_page() -> str:
    """Return the page of a recipe's keys."""
    return f"{KEYS}\n{tables(Recipe)}"


def pages() -> dict[Path, str]:
    """Return the content of every generated page by its path."""
    return {FOLDER / "commands.md": commands_page(), FOLDER / "recipe-keys.md": keys_page()}


if __name__ == "__main__":
    for path, content in pages().items():
        path.write_text(content, encoding="utf-8")
