"""What all commands have in common, and the completion of a shell."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from gratis.cli.app import app

# It serves a page: there is nothing to print as JSON.
WITHOUT_JSON = {"play"}


def leaves(command, *names):
    """Return every command that does something, by its names."""
    inner = getattr(command, "commands", None)
    if inner is None:
        return {" ".join(names): command}
    found = {}
    for name, each in inner.items():
        found |= leaves(each, *names, name)
    return found


@pytest.mark.parametrize("name, command", leaves(get_command(app)).items())
def test_every_command_has_the_same_options(name, command):
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--quiet", "-q", "--verbose", "-v"} <= options
    assert ("--json" in options) is (name not in WITHOUT_JSON)


@pytest.mark.parametrize("name", leaves(get_command(app)))
def test_the_help_fills_a_narrow_terminal(name):
    shown = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "80"})
    description = [line.strip() for line in shown.output.split("╭")[0].splitlines()]
    assert shown.exit_code == 0 and max(map(len, description)) > 0
    for line, below in pairwise(description):
        # One column is left free at each side.
        assert not (line and below) or len(f"{line} {below.split()[0]}") > 78, line


@pytest.mark.parametrize(
    "command, expected",
    [
        (["recipes", "ls"], lambda found: "free" in found["recipes"]),
        (["recipes", "show", "free"], lambda found: found["adversary"]["free"]["replays"]),
        (["recipes", "copy", "free", "own.yaml"], lambda found: found == {"file": "own.yaml"}),
        (["study", "ls"], lambda found: "schedule" in found),
        (["runs", "ls"], lambda found: found == []),
        (["doctor"], lambda found: {"name", "value", "remedy"} <= found[0].keys()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_json_is_all_that_is_printed(works, command, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert expected(json.loads(works(*command, "--json")))


def completed(tmp_path, **variables):
    """Run gratis as a shell does for a completion, with an empty home folder; return its output."""
    home = tmp_path / "home"
    home.mkdir()
    code = "import sys; sys.argv = ['gratis']; from gratis.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"HOME": str(home)} | variables,
        check=False,
    )
    assert done.stderr == "" and not list(home.rglob("*"))
    return done.stdout


@pytest.mark.parametrize(
    "shell, line",
    [
        ("bash", "complete -o default -F _gratis_completion gratis"),
        ("zsh", "compdef _gratis_completion gratis"),
        ("fish", "complete --command gratis"),
    ],
)
def test_the_script_of_a_shell_is_printed_and_nothing_is_written(tmp_path, shell, line):
    assert line in completed(tmp_path, _GRATIS_COMPLETE=f"source_{shell}")


@pytest.mark.parametrize(
    "words, offered",
    [
        ("gratis har", {"harden"}),
        ("gratis runs ", {"ls"}),
        ("gratis train contrastive-s", {"contrastive-scheduled"}),
        ("gratis train free --profile dig", {"digits"}),
        ("gratis train free --log t", {"tensorboard"}),
        ("gratis train free --on-d", {"--on-divergence"}),
    ],
)
def test_names_are_completed(tmp_path, words, offered):
    count = str(len(words.split(" ")) - 1)
    found = completed(
        tmp_path, _GRATIS_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=count
    )
    assert set(found.split()) == offered


def test_show_completion_prints_the_script(tmp_path):
    code = "from gratis.cli import main; main()"
    command = f"{sys.executable} -c '{code}' --show-completion; true"
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        env=os.environ | {"HOME": str(tmp_path)},
        check=False,
    )
    assert "_completion()" in done.stdout and not list(Path(tmp_path).rglob("*"))
