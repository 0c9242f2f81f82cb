"""The commands and blocks of code in the documentation work, at a small size.

A block that is not run says why in a comment above it, ``<!-- not run: ... -->``, which the site
shows. The options of its commands are checked all the same.
"""

import re

import documented_pages as pages
import pytest
from typer.main import get_command

import gratis
from gratis.cli.app import app
from gratis.recipe import load_profile, resolve
from gratis.study import load_study
from gratis.yaml_files import dump_yaml, parse_value

CODE = {"sh", "python", "yaml"}
OTHER = {"console", "csv", "json", "text"}
# What a block needs or does that the tests lack or avoid.
REASON = re.compile(r"(needs|takes|opens|changes) ")
# The names in capitals stand for some of the reader's, times become short, photographs small.
REPLACED = {
    r"\bRUN\b": "runs/free",
    r"\bFILE\b": "pets.pt",
    r"\bfolder:PATH\b": "folder:pets",
    r"\b(20|2)m\b": "1s",
    r'suite="standard"': 'suite="standard", images=4, pgd_steps=1',
    r'(gratis\.(?:load|harden)\()"resnet18"': rf'\1"{pages.NETWORK}", input_size=32',
}
PART = {"title": "t", "adversary": "natural", "objective": "cross_entropy"}
# tests/test_readme.py runs the Python of the README. The commands of the other pages train networks
# of full size; they are parsed and not run.
PARSED = {"README.md", "docs/harden.md", "docs/recipes.md", "docs/start.md", "docs/weights.md"}
with_code = [
    page
    for page in pages.PAGES
    if pages.name(page) not in PARSED
    if any(block.language in CODE for block in pages.blocks(page))
]


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_every_block_is_code_that_is_run_or_says_why_not(page):
    for block in pages.blocks(page):
        place = f"{pages.name(page)}:{block.line}"
        assert block.language in CODE | OTHER, place
        assert block.reason is None or REASON.match(block.reason), place
    # Code in an indented block would have neither a language nor a mark.
    assert not re.search(r"^(?![-*] |\d+\. )\S.*\n\n {4}\S", pages.prose(page), re.MULTILINE)


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_every_command_exists_with_its_options(page):
    for words in gratis_commands(page):
        command, rest = get_command(app), words[1:]
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            assert rest[0] in command.commands, words
            command, rest = command.commands[rest[0]], rest[1:]
        known = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)}
        given = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert given <= known | {"--help"}, words


def test_the_index_shows_every_command():
    index, readme = (pages.ROOT / name for name in ("docs/README.md", "README.md"))
    shown = {page: {words[1] for words in gratis_commands(page)} for page in (index, readme)}
    assert shown[index] - {"COMMAND"} >= set(get_command(app).commands)
    used = {"reproduce", "harden", "train", "evaluate", "report", "play"}
    assert shown[readme] == used


def gratis_commands(page):
    """Return the words of the gratis commands on a page, in blocks and in the text."""
    code = [words for block in pages.blocks(page) for words in block.commands()]
    found = [words for words in [*pages.spans(page), *code] if words[0] == "gratis"]
    return [words for words in found if words[1] != "COMMAND"]


@pytest.mark.slow
@pytest.mark.parametrize("page", with_code, ids=pages.name)
def test_the_code_of_a_page_runs(page, here, within):
    names = {"gratis": gratis}
    for block in (block for block in pages.blocks(page) if block.reason is None):
        place = f"{pages.name(page)}:{block.line}"
        if block.language == "python":
            exec(compile(replaced(block.text), place, "exec"), names)
        for words in block.commands():
            assert words[0] == "gratis", f"{place}: {words[0]} is not run by the tests; mark it"
            code, (_, errors) = within(*tiny(words))
            assert code == 0, f"{place}: {words}: {errors}"


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_the_settings_of_a_page_are_read(page, tmp_path):
    for block in pages.blocks(page):
        if block.language == "yaml":
            read(tmp_path / "mine.yaml", block.text)


def read(file, text):
    """Read settings as the command line does: a study, a profile, or a recipe or part of one."""
    content = parse_value("a page", text)
    file.write_text(text)
    if "variants" in content:
        load_study(str(file))
    elif "all" in content:
        load_profile(str(file))
    else:
        file.write_text(dump_yaml(PART | content))
        resolve(str(file))


def replaced(text):
    for pattern, value in REPLACED.items():
        text = re.sub(pattern, value, text)
    return text


def tiny(words):
    """Return the arguments of a command, with so few steps and images that it is quick."""
    command, *rest = [replaced(word) for word in words[1:]]
    measures = command in {"train", "harden", "reproduce", "evaluate"}
    if not measures or "--from-examples" in rest:
        return [command, *rest]
    if rest[:1] == ["resnet18"] and command in {"harden", "evaluate"}:
        rest = [pages.NETWORK, *rest[1:], "--input-size", "32"]
    with_epochs = command != "evaluate" and command != "harden" and "--budget" not in rest
    return [command, *rest, *(pages.TINY if with_epochs else pages.TINY[1:])]
