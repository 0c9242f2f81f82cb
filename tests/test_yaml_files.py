import datetime
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gratis.errors import GratisError
from gratis.yaml_files import DEEPEST, LARGEST, dump_yaml, parse_value, read_yaml


def read(tmp_path, text: str):
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return read_yaml(path)


def test_plain_content_is_read(tmp_path):
    text = "a: 1\nb: {c: [1, 2.5, yes], d: null}\ne: 8/255\nf: 'ü'\n"
    content = {"a": 1, "b": {"c": [1, 2.5, True], "d": None}, "e": "8/255", "f": "ü"}
    assert read(tmp_path, text) == content


@pytest.mark.parametrize(
    "text, problem",
    [
        ("a: 1\nb: 2\na: 3", "duplicate key a"),
        ("a:\n  b:\n    c: 1\n    c: 1", "duplicate key c"),
        ("a: [{b: 1, b: 2}]", "duplicate key b"),
        ("a: {1: x, 1.0: y}", "duplicate key 1"),
        ("a: 1\n'a': 1\nb: 1\nb: 2", "duplicate key a, b"),
        ("a: {<<: {b: 1}, b: 2}", "duplicate key b"),
        ("a:\n\tb: 1", "line 2"),
        ("a: [1, 2", "line 1"),
        ("a: b: c", "mapping values are not allowed"),
        ("a: &x 1\nb: *x", "aliases are not supported"),
        ("a: &a [*a]", "aliases are not supported"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "aliases are not supported"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: !!python/name:os.system ''", "could not determine a constructor"),
        ("!own {a: 1}", "could not determine a constructor"),
        ("a: !!bool perhaps", "not YAML"),
        ("a: !!int ''", "not YAML"),
        ("a: !!float ''", "not YAML"),
        ("a: !!timestamp soon", "not YAML"),
        ("a: 2020-13-45", "not YAML"),
        ("a: 1" + ":1" * 300 + ".5", "not YAML"),
        ("a: " + "9" * 5000, "not YAML"),
        ("a: " + "9" * 20, "number beyond 64 bits"),
        ("a: -9223372036854775809", "number beyond 64 bits"),
        ("a: 0x" + "f" * 50_000, "number beyond 64 bits"),
        ("a: 0b" + "1" * 64, "number beyond 64 bits"),
        ("a: " + ":".join(["59"] * 20_000), "number beyond 64 bits"),
        ("b: {1" + "0" * 19 + ": c}", "number beyond 64 bits"),
        ('"\\e[2J": 1\n"\\e[2J": 2', "duplicate key \\x1b[2J"),
        ("a: !<" + "%41" * 30_000 + "> b", "could not determine a constructor"),
        ("? [a]\n: b", "unhashable key"),
        ("a: 1\n---\nb: 2", "expected a single document"),
        ("a: \x00", "not YAML"),
        ("- a\n- b", "holds no keys and values"),
        ("just words", "holds no keys and values"),
        ("3", "holds no keys and values"),
        ("", "holds no keys and values"),
        ("# only a comment", "holds no keys and values"),
        ("1: a", "holds no keys and values"),
        ("a: " + "[" * 90_000, "nested too deeply"),
        ("{a: " * 200 + "1" + "}" * 200, "nested too deeply"),
        ("a: " + "x" * LARGEST, "too large"),
    ],
)
def test_an_invalid_file_is_refused_with_its_name_and_the_reason(tmp_path, text, problem):
    with pytest.raises(GratisError) as caught:
        read(tmp_path, text)
    assert "x.yaml: " in str(caught.value)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700


def test_an_alias_bomb_is_refused_at_once(tmp_path):
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(GratisError, match="aliases are not supported"):
        read(tmp_path, "\n".join(levels))


def test_depth_is_counted_per_branch_and_not_per_file(tmp_path):
    text = "\n".join(f"k{n}: [[[1]]]" for n in range(DEEPEST))
    assert len(read(tmp_path, text)) == DEEPEST


@pytest.mark.parametrize("raw", [b"a: \xff\xfe", b"\x80"])
def test_bytes_that_are_not_utf_8_are_refused(tmp_path, raw):
    (tmp_path / "x.yaml").write_bytes(raw)
    with pytest.raises(GratisError, match=r"x\.yaml: cannot be read"):
        read_yaml(tmp_path / "x.yaml")


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "x.yaml")
    with pytest.raises(GratisError, match=r"x\.yaml: cannot be read \(not a regular file\)"):
        read_yaml(tmp_path / "x.yaml")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(GratisError, match="cannot be read"):
            read_yaml(path)


def test_an_invalid_value_names_its_source():
    with pytest.raises(GratisError, match=r"^a=\[1: not YAML"):
        parse_value("a=[1", "[1")


@given(st.text(alphabet="ab01:-.,'\"[]{}&*!|>%@#? \n\t<=~ü\x00", max_size=30))
def test_any_text_is_a_value_or_a_clear_error(text):
    try:
        parse_value("source", text)
    except GratisError as error:
        assert str(error).startswith("source: not YAML: ")


words = st.text(alphabet="ab01:-.'\"[]{}&*!|> \n\tü\U0001f600", max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | words
)
scalars |= st.sampled_from([datetime.date(2020, 1, 2), "yes", "1e-3", "8/255", "null", "<<"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(words, values, min_size=1, max_size=3))
def test_written_content_is_read_again(content):
    text = dump_yaml(content)
    assert parse_value("text", text) == content
    assert list(parse_value("text", text)) == list(content)
