import pytest

from gratis.errors import GratisError
from gratis.recipe import read_recipe


def test_unknown_names_are_refused(refused):
    assert "did you mean 'free'?" in refused("fre")
    assert "did you mean 'digits'?" in refused("free", "digit")


@pytest.mark.parametrize(
    "text, problem",
    [
        ("title: t", "adversary: "),
        ("title: t\nadversary: natural\nobjective: {}", "objective: choose from"),
        ("adversary: natural\nobjective: cross_entropy", "title: field required"),
        ("title: t\nadversary: {natural, free}\nobjective: cross_entropy", "not several"),
        ("title: t\nadversary: natural\nobjective: cross_entropy\nseed: 1.5", "seed: "),
        ("- a", "holds no keys and values"),
    ],
)
def test_a_bad_file_is_refused(text, problem, own, refused):
    assert problem in refused(own(text))
    assert problem in refused(own(text), "digits")


def test_a_run_without_a_recipe_is_refused(tmp_path):
    with pytest.raises(GratisError, match="cannot be read"):
        read_recipe(tmp_path / "recipe.yaml")
