import math
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from gratis.errors import GratisError
from gratis.recipe import Recipe
from gratis.settings import (
    Fraction,
    Line,
    Settings,
    absolute,
    did_you_mean,
    discover,
    fraction,
    validate,
)


class Inner(Settings):
    width: Annotated[int, Field(gt=0)] = 1
    epsilon: Fraction = 0.5


class Outer(Settings):
    title: str = ""
    epochs: float = 1
    reset: bool = False
    inner: Inner = Inner()
    perhaps: Inner | None = None
    sizes: tuple[int, int] = (1, 2)


def problems_of(content, kind=Outer) -> list[str]:
    with pytest.raises(GratisError) as caught:
        validate(kind, content, "here")
    assert "\n" not in str(caught.value) or str(caught.value).startswith("here: ")
    head, *lines = str(caught.value).split("\n")
    return [line.strip() for line in lines] or [head.removeprefix("here: ")]


def test_every_error_is_reported_at_once_by_its_dotted_path():
    lines = problems_of(
        {"titel": "x", "epochs": "many", "inner": {"width": 0}, "perhaps": {"epsilon": "8/0"}}
    )
    assert [line.split(":")[0] for line in lines] == [
        "epochs",
        "inner.width",
        "perhaps.epsilon",
        "titel",
    ]


def test_the_number_of_problems_heads_the_list():
    with pytest.raises(GratisError, match=r"^here: 2 problems\n  title: .*\n  epochs: .*$"):
        validate(Outer, {"epochs": "x", "title": 3}, "here")


def test_a_single_problem_takes_a_single_line():
    assert problems_of({"inner": {"width": 0}}) == [
        "inner.width: input should be greater than 0 (got 0)"
    ]


@pytest.mark.parametrize(
    "content, line",
    [
        ({"titel": "x"}, "titel: unknown key; did you mean 'title'?"),
        ({"inner": {"widht": 3}}, "inner.widht: unknown key; did you mean 'width'?"),
        ({"perhaps": {"widht": 3}}, "perhaps.widht: unknown key; did you mean 'width'?"),
        ({"inner": {"q": 3}}, "inner.q: unknown key; choose from epsilon, width"),
        ({"sizes": [1, "x"]}, "sizes.1: input should be a valid integer"),
    ],
)
def test_the_message_names_the_key_and_the_remedy(content, line):
    (found,) = problems_of(content)
    assert found.startswith(line)


@pytest.mark.parametrize(
    "changes, line",
    [
        (
            {"adversary": {"free": {"replay": 3}}},
            "adversary.free.replay: unknown key; did you mean 'replays'?",
        ),
        ({"adversary": {"fre": {}}}, "adversary.fre: unknown key; did you mean 'free'?"),
        (
            {"objective": {"cross_entropy": {"smoothng": 0.1}}},
            "objective.cross_entropy.smoothng: unknown key; did you mean 'smoothing'?",
        ),
        (
            {"objective": {"contrastve": {}}},
            "objective.contrastve: unknown key; did you mean 'contrastive'?",
        ),
        (
            {"model": {"denoiser": {"widht": 3}}},
            "model.denoiser.widht: unknown key; did you mean 'width'?",
        ),
    ],
)
def test_nested_keys_of_a_recipe_get_a_hint_too(changes, line):
    chosen = {"adversary": {"natural": {}}, "objective": {"cross_entropy": {}}}
    content = {"name": "n", "title": "t"} | chosen
    assert line in problems_of(content | changes, Recipe)


def test_content_that_is_not_a_mapping_is_refused_without_a_path():
    assert problems_of(None)[0].startswith("input should be")
    assert problems_of([1])[0].startswith("input should be")


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("key", ["epochs", "title", "inner"])
def test_yes_and_no_are_neither_numbers_nor_words(key, value):
    # YAML reads `epochs: yes` as true, and pydantic alone would train 1 epoch.
    assert problems_of({key: value}) == [f"{key}: must not be {str(value).lower()}"]


def test_yes_and_no_are_accepted_for_booleans():
    assert validate(Outer, {"reset": True}, "here").reset is True


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, "inf", "nan", "1e999", 10**400])
def test_a_number_that_is_not_finite_is_refused(value):
    assert "inner.epsilon" in problems_of({"inner": {"epsilon": value}})[0]


@pytest.mark.parametrize(
    "text, number",
    [("8/255", 8 / 255), ("1e-3", 0.001), (" 8 / 255 ", 8 / 255), ("-1/4", -0.25), ("3", 3.0)],
)
def test_fractions_are_numbers(text, number):
    assert fraction(text) == number
    assert validate(Inner, {"epsilon": text}, "here").epsilon == number


@pytest.mark.parametrize("text", ["", "/", "1/", "/2", "1/0", "8/255/2", "eight", "1//2", "8%"])
def test_a_bad_fraction_is_named(text):
    assert problems_of({"inner": {"epsilon": text}}) == [f"inner.epsilon: {text!r} is not a number"]


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6))
def test_a_fraction_equals_the_division(top, bottom):
    assert fraction(f"{top}/{bottom}") == top / bottom


@given(st.text(alphabet="019/.e+- _infa٣", max_size=8))
def test_any_text_is_a_number_or_a_clear_error(text):
    try:
        TypeAdapter(Fraction).validate_python(text)
    except ValidationError as error:
        assert error.error_count() == 1


def test_settings_are_immutable():
    settings = Outer()
    with pytest.raises(ValidationError, match="frozen"):
        settings.epochs = 3


def test_a_word_near_no_choice_gets_all_choices():
    assert did_you_mean("zzz", ["b", "a"]) == "; choose from a, b"
    assert did_you_mean("zzz", []) == ""


def test_discovery_finds_every_module_with_settings_and_only_those():
    from gratis.adversary import AdversarySettings
    from gratis.objective import TermSettings

    adversaries = discover("gratis.adversary", AdversarySettings)
    assert set(adversaries) == {
        "natural",
        "free",
        "cached",
        "n_fgsm",
        "fgsm_rs",
        "pgd",
        "assigned_fgsm",
        "multi_norm",
    }
    terms = discover("gratis.objective", TermSettings)
    assert set(terms) == {"cross_entropy", "contrastive", "reconstruction", "trades"}
    for word, kind in (adversaries | terms).items():
        assert kind.__module__.endswith(f".{word}")


@pytest.mark.parametrize("value", [2**63, str(10**30)])
def test_integers_beyond_64_bits_are_refused(value):
    with pytest.raises(GratisError, match="width: must fit into 64 bits"):
        validate(Inner, {"width": value}, "x")
    assert validate(Inner, {"width": 2**63 - 1}, "x").width == 2**63 - 1


class Titled(Settings):
    title: Line
    where: Annotated[Path, AfterValidator(absolute)] = Path()


@pytest.mark.parametrize("title", ["a\nb", "\x1b[2J", "a\u202eb"])
def test_a_line_has_no_control_characters(title):
    with pytest.raises(GratisError, match=r"^x: title: must be one line") as caught:
        validate(Titled, {"title": title}, "x")
    assert "\n" not in str(caught.value)
    assert validate(Titled, {"title": "日本 | a"}, "x").title == "日本 | a"


@pytest.mark.parametrize(
    "where, problem",
    [("~nobody-here/x", "unknown user"), ("a\0b", "is not a valid path"), ("a\udcff", "not UTF-8")],
)
def test_an_invalid_path_is_refused(where, problem):
    with pytest.raises(GratisError, match=problem):
        validate(Titled, {"title": "t", "where": where}, "x")


def test_a_long_value_is_cut_and_a_strange_key_escaped():
    with pytest.raises(GratisError) as caught:
        validate(Inner, {"width": "x" * 10_000, "\x1b[2J" * 1000: 1}, "x")
    lines = str(caught.value).splitlines()
    assert lines[0] == "x: 2 problems" and all(len(line) < 600 for line in lines)
    assert "\x1b" not in str(caught.value)
