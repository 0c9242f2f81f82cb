import re

import pytest

from gratis.errors import GratisError
from gratis.playground.handlers import (
    NO_TARGET,
    OWN_PREDICTION,
    Controls,
    attacked,
    first_errors_of,
)
from gratis.playground.pictures import effect

STILL = (0.0, 0.0, 1.0, 0.0, 1.0, 0.0)


def controls(file, method="PGD-10", size=38.0, label=OWN_PREDICTION, norm="linf"):
    name = None if file is None else str(file)
    return Controls(name, label, method, norm, size, NO_TARGET, *STILL)


def test_both_models_are_attacked_and_their_losses_are_in_one_table(pair, digit):
    *_, shown = attacked(pair, controls(digit.file))
    assert len(shown) == 4 * len(pair) + 1
    losses = shown[-1]
    assert set(losses["model"]) == {"natural", "robust"}
    rise = losses.groupby("model")["loss"].agg(lambda values: values.iloc[-1] - values.iloc[0])
    assert rise["natural"] > rise["robust"] > 0
    for said, picture, perturbation, prediction in (shown[0:4], shown[4:8]):
        assert f"Before the attack: {digit.label} (" in said
        assert picture.startswith("<figure")
        assert "at most 38.0/255" in perturbation
        assert len(prediction) == 5


def test_the_page_says_whether_the_attack_changes_the_prediction():
    changed = effect({"<cat>": 0.9, "dog": 0.1}, {"dog": 0.8, "<cat>": 0.2})
    assert "Before the attack: &lt;cat&gt; (90%)" in changed
    assert "The attack changes it." in changed
    assert "does not change it" in effect({"cat": 0.9}, {"cat": 0.4})
    assert "There is no attack." in effect({"cat": 0.9}, {"cat": 0.9})


def test_without_an_attack_there_is_one_loss(pair, digit):
    *_, perturbation, _, losses = next(attacked(pair[:1], controls(digit.file, method="none")))
    assert "No perturbation" in perturbation
    # A table and not None, on which gradio's chart fails in the browser.
    assert len(losses) == 1


def test_without_an_image_nothing_is_shown(pair):
    ((*shown, losses),) = attacked(pair, controls(None))
    assert shown == ["", "", "", None, "", "", "", None] and losses.empty
    assert first_errors_of(pair, controls(None)) == ""


def test_the_sentence_names_the_size_of_the_first_errors(pair, digit):
    assert "**robust** not up to 16.0/255" in first_errors_of(pair, controls(digit.file))
    said = first_errors_of(pair, controls(digit.file, norm="l2"))
    assert re.search(r"\*\*natural\*\* at a length of \d\.\d\d, ", said)
    wrong = str((digit.label + 1) % 10)
    said = first_errors_of(pair, controls(digit.file, label=wrong, norm="l2"))
    assert "**robust** wrong without an attack" in said


def test_what_is_no_image_is_one_line(pair, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(GratisError, match="this is no readable image") as error:
        list(attacked(pair, controls(tmp_path / "text.png")))
    assert "\n" not in str(error.value)
