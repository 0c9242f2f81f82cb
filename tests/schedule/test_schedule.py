import math
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gratis.errors import GratisError
from gratis.schedule import (
    Constant,
    Schedule,
    Scheduled,
    Steps,
    WarmUp,
    cosine,
    linear,
    parse,
    steps,
    to_yaml,
    warm_up,
    within,
)
from gratis.settings import Settings, validate
from gratis.yaml_files import dump_yaml, parse_value


class Rates(Settings):
    rate: Annotated[Scheduled, within(0, 1)] = Constant(value=0)
    replays: Annotated[Scheduled, within(1)] = Constant(value=1)


@pytest.mark.parametrize(
    "content, values",
    [
        (3, {0: 3, 0.5: 3, 1: 3}),
        ("8/255", {0: 8 / 255, 1: 8 / 255}),
        ({"linear": {"start": 1, "stop": 3}}, {0: 1, 0.25: 1.5, 1: 3}),
        (
            {"linear": {"start": 0, "stop": "8/255", "begin": 0.2, "end": 0.8}},
            {0: 0, 0.2: 0, 0.35: 2 / 255, 0.5: 4 / 255, 0.8: 8 / 255, 1: 8 / 255},
        ),
        ({"linear": {"start": 4, "stop": 0, "end": 0.5}}, {0: 4, 0.25: 2, 0.5: 0, 1: 0}),
        (
            {"cosine": {"start": 2, "stop": 0}},
            {0: 2, 1 / 3: 1.5, 0.5: 1, 2 / 3: 0.5, 1: 0, 0.25: 1 + math.sqrt(0.5)},
        ),
        ({"cosine": {"start": 0, "stop": 1, "begin": 0.5}}, {0: 0, 0.5: 0, 0.75: 0.5, 1: 1}),
        (
            {"steps": {0.5: 2, 0: 1, 0.75: 4}},
            {0: 1, 0.49: 1, 0.5: 2, 0.74: 2, 0.75: 4, 1: 4},
        ),
        (
            {"warm_up": {"end": 0.1, "then": {"cosine": {"start": 0.1, "stop": 0}}}},
            {0: 0, 0.05: 0.025 * (1 + math.cos(math.pi / 10)), 0.5: 0.05, 1: 0},
        ),
        (
            {"warm_up": {"start": 1, "end": 0.5, "then": 3}},
            {0: 1, 0.25: 2, 0.5: 3, 1: 3},
        ),
        (
            {"warm_up": {"end": 0.5, "then": {"steps": {0: 9, 0.5: 2}}}},
            {0.25: 1, 0.5: 2},
        ),
    ],
)
def test_values_computed_by_hand(content, values):
    schedule = parse(content)
    for t, value in values.items():
        assert schedule(t) == pytest.approx(value, abs=1e-12), t


numbers = st.floats(-1e6, 1e6)
progress = st.floats(0, 1)


@st.composite
def lines(draw):
    begin, end = sorted(draw(st.tuples(progress, progress).filter(lambda p: p[0] != p[1])))
    body = {"start": draw(numbers), "stop": draw(numbers), "begin": begin, "end": end}
    return {draw(st.sampled_from(["linear", "cosine"])): body}


staircases = st.dictionaries(progress, numbers, max_size=5).flatmap(
    lambda steps: numbers.map(lambda first: {"steps": {**steps, 0.0: first}})
)
contents = st.recursive(
    numbers | lines() | staircases,
    lambda inner: st.builds(
        lambda end, then, start: {"warm_up": {"end": end, "then": then, "start": start}},
        st.floats(0.001, 1),
        inner,
        numbers,
    ),
    max_leaves=3,
)


@given(contents, progress)
def test_a_value_never_leaves_the_bounds(content, t):
    schedule = parse(content)
    assert min(schedule.bounds()) <= schedule(t) <= max(schedule.bounds())


@given(contents)
def test_a_schedule_reads_back_from_yaml(content):
    schedule = parse(content)
    assert parse(to_yaml(schedule)) == schedule
    rates = Rates(rate=Constant(value=0)).model_copy(update={"rate": schedule})
    text = dump_yaml(rates.model_dump(mode="json"))
    again = parse_value("text", text)["rate"]
    assert parse(again) == schedule


@given(lines())
def test_lines_begin_at_start_and_end_at_stop(content):
    schedule = parse(content)
    ((_, body),) = content.items()
    assert schedule(0) == body["start"] and schedule(body["begin"]) == body["start"]
    assert schedule(1) == pytest.approx(body["stop"], abs=1e-9)
    assert schedule(body["end"]) == schedule(1)


def test_parsing_a_schedule_returns_it():
    schedule = WarmUp(end=0.5, then=Steps(values={0: 1}))
    assert parse(schedule) is schedule


@pytest.mark.parametrize(
    "content, problem",
    [
        ({"linear": {"start": 0, "stop": 1, "begin": 0.5, "end": 0.5}}, "begin (0.5) must come"),
        ({"cosine": {"start": 0, "stop": 1, "begin": 1}}, "must come before end"),
        ({"linear": {"start": 0, "stop": 1, "end": 1.5}}, "linear.end: input should be less"),
        ({"linear": {"start": 0}}, "linear.stop: field required"),
        ({"linear": {"strat": 0, "stop": 1}}, "linear.strat: unknown key; did you mean 'start'?"),
        ({"linear": None}, "linear: input should be"),
        ({"linear": {"start": True, "stop": 1}}, "linear.start: must not be true"),
        ({"steps": {0.5: 1}}, "steps: must have a value from 0"),
        ({"steps": {}}, "steps: must have a value from 0"),
        ({"steps": {0: 1, 2: 3}}, "steps.2"),
        ({"steps": {0: "x"}}, "steps.0: 'x' is not a number"),
        ({"steps": 3}, "steps: input should be a valid dictionary"),
        ({"warm_up": {"end": 0, "then": 1}}, "warm_up.end: input should be greater than 0"),
        ({"warm_up": {"end": 0.1, "then": {"linaer": {}}}}, "did you mean 'linear'?"),
        ({"warm_up": {"end": 0.1}}, "warm_up.then: field required"),
        (
            {"warm_up": {"end": 0.1, "then": {"cosine": {"start": "a", "stop": 0}}}},
            "warm_up.then: cosine.start: 'a' is not a number",
        ),
        ({"linaer": {}}, "unknown schedule 'linaer'; did you mean 'linear'?"),
        ({"linear": {}, "cosine": {}}, "must be a number or one of"),
        ({}, "must be a number or one of"),
        ([1, 2], "must be a number or one of"),
        (None, "must be a number or one of"),
        (True, "must not be true"),
        ("growing", "'growing' is not a number"),
        (math.nan, "finite"),
        ("inf", "finite"),
        (10**400, "finite"),
    ],
)
def test_a_bad_schedule_is_explained(content, problem):
    with pytest.raises(ValueError) as caught:
        parse(content)
    assert problem in str(caught.value)
    assert "Value error" not in str(caught.value)


def test_all_problems_of_a_schedule_are_reported_at_once():
    with pytest.raises(GratisError) as caught:
        validate(Rates, {"rate": {"linear": {"strat": 0, "stop": "x"}}}, "here")
    for part in ("here: rate: ", "linear.start", "linear.stop", "linear.strat"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "key, content, problem",
    [
        ("rate", -0.1, "at least 0 and at most 1, not -0.1"),
        ("rate", {"linear": {"start": 0, "stop": 2}}, "not 2"),
        ("rate", {"steps": {0: 0, 0.5: -3}}, "not -3"),
        ("rate", {"warm_up": {"end": 0.1, "then": {"cosine": {"start": 5, "stop": 0}}}}, "not 5"),
        ("replays", 0.5, "at least 1, not 0.5"),
        ("replays", {"warm_up": {"end": 0.1, "then": 4}}, "at least 1, not 0"),
    ],
)
def test_the_range_holds_throughout(key, content, problem):
    with pytest.raises(GratisError, match=problem):
        validate(Rates, {key: content}, "here")


def test_a_schedule_within_its_range_passes():
    rates = validate(Rates, {"rate": {"linear": {"start": 0, "stop": 1}}, "replays": 7}, "here")
    assert (rates.rate(0.5), rates.replays(0)) == (0.5, 7)


def test_a_schedule_is_abstract():
    with pytest.raises(TypeError):
        Schedule()


@pytest.mark.parametrize(
    "schedule, content",
    [
        (linear(0, 8 / 255, end=0.6), {"linear": {"start": 0, "stop": "8/255", "end": 0.6}}),
        (linear(4, 1, begin=0.25), {"linear": {"start": 4, "stop": 1, "begin": 0.25}}),
        (cosine(0.1, 0), {"cosine": {"start": 0.1, "stop": 0}}),
        (cosine(1, 2, begin=0.5, end=0.75), {"cosine": dict(start=1, stop=2, begin=0.5, end=0.75)}),
        (steps({0.5: 2, 0: 1}), {"steps": {0: 1, 0.5: 2}}),
        (warm_up(0.1, 3), {"warm_up": {"end": 0.1, "then": 3}}),
        (
            warm_up(0.1, cosine(0.1, 0), start=0.01),
            {"warm_up": {"end": 0.1, "start": 0.01, "then": {"cosine": {"start": 0.1, "stop": 0}}}},
        ),
    ],
)
def test_a_function_makes_what_yaml_means(schedule, content):
    assert schedule == parse(content)
    for t in (0, 0.05, 0.3, 0.7, 1):
        assert schedule(t) == parse(content)(t)


def test_functions_give_values_computed_by_hand():
    assert [linear(0, 8, begin=0.25, end=0.75)(t) for t in (0, 0.25, 0.5, 1)] == [0, 0, 4, 8]
    assert [steps({0: 1, 0.5: 2, 0.75: 4})(t) for t in (0, 0.49, 0.5, 0.75, 1)] == [1, 1, 2, 4, 4]
    assert cosine(2, 0)(1 / 3) == pytest.approx(1.5)
    assert [warm_up(0.5, 3, start=1)(t) for t in (0, 0.25, 0.5, 1)] == [1, 2, 3, 3]


@pytest.mark.parametrize(
    "make, problem",
    [
        (lambda: linear(0, 1, begin=0.5, end=0.5), "linear: begin (0.5) must come before end"),
        (lambda: linear(0, 1, end=1.5), "linear: end: input should be less than or equal to 1"),
        (lambda: linear(0, math.nan), "linear: stop: input should be a finite number"),
        (lambda: cosine(0, 1, begin=-1), "cosine: begin: input should be greater than or equal"),
        (lambda: cosine(0, 1, begin=1), "cosine: begin (1) must come before end (1)"),
        (lambda: steps({0.5: 1}), "steps: values: must have a value from 0"),
        (lambda: steps({}), "steps: values: must have a value from 0"),
        (lambda: steps({0: 1, 2: 3}), "steps: values.2"),
        (lambda: warm_up(0, 1), "warm_up: end: input should be greater than 0 (got 0)"),
        (lambda: warm_up(2, 1), "warm_up: end: input should be less than or equal to 1"),
        (lambda: warm_up(0.1, math.inf), "warm_up: then: must be a finite number"),
    ],
)
def test_a_function_refuses_wrong_values_in_one_line(make, problem):
    with pytest.raises(GratisError) as caught:
        make()
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
