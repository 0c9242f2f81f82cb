import re
import shlex
from pathlib import Path

import pytest

from gratis.packaged import recipe_names
from gratis.recipe import Recipe, load_profile, resolve
from gratis.schedule import Linear
from gratis.yaml_files import dump_yaml, parse_value

GUIDE = Path(__file__).parents[2] / "docs" / "recipes.md"


def snippets(language: str) -> list[str]:
    text = GUIDE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_guide_has_snippets_of_every_kind():
    found = [set(parse_value("guide", text)) for text in snippets("yaml")]
    assert any({"title", "adversary", "objective"} <= keys for keys in found)
    assert any({"title", "all", "by_recipe"} <= keys for keys in found)
    assert len(snippets("sh")) == 4
    assert len(re.findall("^```", GUIDE.read_text(), re.MULTILINE)) == 2 * (len(found) + 4)


@pytest.mark.parametrize("text", snippets("yaml"))
def test_every_snippet_of_the_guide_resolves(text, own):
    content = parse_value("guide", text)
    if "all" in content:
        profile = own(text)
        assert set(load_profile(profile).leave_out) <= set(recipe_names())
        assert set(load_profile(profile).by_recipe) <= set(recipe_names())
        for name in recipe_names():
            assert resolve(name, profile) != resolve(name)
        return
    needed = {"title": "t", "adversary": "natural", "objective": "cross_entropy"}
    resolve(own(dump_yaml(needed | content)))


def test_the_recipe_of_the_guide_has_the_values_it_shows(own):
    (text,) = [text for text in snippets("yaml") if "smoothed" in text]
    recipe = resolve(own(text))
    assert recipe.name == "mine"
    assert recipe.adversary_settings.epsilon == Linear(start=0, stop=8 / 255, end=0.5)
    assert recipe.terms["cross_entropy"].smoothing == 0.1


def commands() -> list[list[str]]:
    lines = "".join(snippets("sh")).splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [line for line in words if line[1:2] == ["train"] and "=" in line[-1]]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_override_of_the_guide_resolves(words):
    gratis, train, name, *rest = words
    assert (gratis, train) == ("gratis", "train")
    profile = rest.pop(rest.index("--profile") + 1) if "--profile" in rest else None
    overrides = [word for word in rest if word != "--profile"]
    assert overrides
    assert resolve(name, profile, overrides) != resolve(name, profile)


def test_the_guide_names_every_key():
    text = GUIDE.read_text(encoding="utf-8")
    for name, field in Recipe.model_fields.items():
        assert f"`{name}`" in text
        inner = getattr(field.annotation, "model_fields", {})
        for key in inner if name not in ("augment",) else ():
            assert f"`{key}`" in text, f"{name}.{key}"
