import subprocess
import sys
from pathlib import Path

import pytest

import gratis
from gratis.errors import GratisError
from gratis.packaged import (
    describe,
    profile_names,
    profile_path,
    recipe_names,
    recipe_path,
    row_name,
)
from gratis.yaml_files import read_yaml

ROOT = Path(gratis.__file__).parent


def names_in(folder: str) -> set[str]:
    root = ROOT / folder
    return {path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml")}


def test_every_file_has_a_name_and_every_name_a_file():
    assert set(recipe_names()) == names_in("recipes")
    assert set(profile_names()) == names_in("profiles")
    assert all(recipe_path(name).is_file() for name in recipe_names())
    assert all(profile_path(name).is_file() for name in profile_names())


@pytest.mark.parametrize(("folder", "first"), [("", "resnet18"), ("record", "record/natural")])
def test_recipes_come_in_the_order_of_their_table(folder, first):
    names = recipe_names(folder)
    rows = [read_yaml(recipe_path(name))["order"] for name in names]
    assert rows == sorted(set(rows))
    assert names[0] == first


def test_every_recipe_is_in_exactly_one_table():
    folders = {name.rpartition("/")[0] for name in recipe_names()}
    assert [name for folder in sorted(folders) for name in recipe_names(folder)] == recipe_names()
    assert recipe_names("nowhere") == []


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_opens_with_its_command_and_its_cost(name):
    command, *lines = recipe_path(name).read_text(encoding="utf-8").splitlines()
    comment = "\n".join(line for line in lines if line.startswith("#"))
    if name.startswith("harden/"):
        assert command.startswith("# gratis harden MODEL")
    else:
        assert command == f"# gratis train {name}"
    assert "Cost: " in comment
    assert "paper" in comment.lower()


@pytest.mark.parametrize("name", profile_names())
def test_a_profile_has_a_title_and_names_existing_rows(name):
    content = read_yaml(profile_path(name))
    assert content["title"]
    mentioned = {*content.get("rows", {}), *content.get("leave_out", [])}
    assert mentioned <= set(map(row_name, recipe_names(content.get("recipes", ""))))


def test_the_description_has_a_line_for_each():
    lines = describe().splitlines()
    assert len(lines) == 2 + len(recipe_names()) + len(profile_names())
    for name in [*recipe_names(), *profile_names()]:
        assert any(line.split()[0] == name and len(line.split()) > 1 for line in lines)


def test_a_file_of_the_users_own_is_found_by_its_path(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("title: mine")
    assert recipe_path(str(path)) == path
    assert profile_path(str(path)) == path


@pytest.mark.parametrize(
    "name, problem",
    [
        ("resnet81", "no recipe 'resnet81'; did you mean 'resnet18'?"),
        ("contrastive_free", "did you mean 'contrastive-free'?"),
        ("zzz", "choose from augmented, contrastive-"),
        ("", "no recipe ''"),
        ("none/mine.yaml", "none/mine.yaml: no such recipe file"),
        ("../recipes/free", "no recipe '../recipes/free'"),
    ],
)
def test_an_unknown_recipe_is_refused_with_a_hint(name, problem):
    with pytest.raises(GratisError) as caught:
        recipe_path(name)
    assert problem in str(caught.value)


def test_an_unknown_profile_is_refused_with_a_hint(tmp_path):
    with pytest.raises(GratisError, match="no profile 'digit'; did you mean 'digits'"):
        profile_path("digit")
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    with pytest.raises(GratisError, match="no such profile file"):
        profile_path(str(folder))


def test_packaged_imports_no_torch():
    code = (
        "import sys; from gratis.packaged import describe; describe(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
