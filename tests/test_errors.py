import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gratis.errors import file_error, printable, quoted


@pytest.mark.parametrize(
    "text, shown",
    [
        ("a b", "a b"),
        ("señor 日本 👩‍🔬", "señor 日本 👩‍🔬"),
        ("a\nerror: b", r"a\nerror: b"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J", r"\x9b2J"),
        ("a\u2028b\u202eb", r"a\u2028b\u202eb"),
        ("\udcff", r"\udcff"),
    ],
)
def test_control_characters_are_escaped(text, shown):
    assert printable(text) == shown


@given(st.text() | st.text(st.characters(categories=["Cc", "Cs", "Zl", "Zp"])))
def test_any_text_becomes_one_printable_line(text):
    shown = printable(text)
    assert len(shown.splitlines()) <= 1 and printable(shown) == shown
    shown.encode()


def test_an_error_message_is_one_line():
    error = file_error(Path("a\nb"), "is\tbad", "delete\rit")
    assert str(error) == r"a\nb: is\tbad; delete\rit"


@pytest.mark.parametrize("path", ["runs/free", "runs/my photos", "runs/it's", "runs/a;b $c"])
def test_a_path_in_a_command_is_one_word(path):
    assert shlex.split(f"gratis resume {quoted(Path(path))}") == ["gratis", "resume", path]


def test_commands_in_messages_quote_their_paths():
    source = Path(__file__).parents[1] / "src" / "gratis"
    unquoted = re.compile(r"""f".*gratis [a-z]+ (?:\w+ |--\w+ )*\{(?!quoted\(|study\.name)""")
    texts = {path: path.read_text() for path in source.rglob("*.py")}
    assert any("{quoted(" in text for text in texts.values())
    assert not [path for path, text in texts.items() if unquoted.search(text)]
