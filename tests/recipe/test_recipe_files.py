import pytest
import torch

from gratis.errors import GratisError
from gratis.recipe import default_profile, read_recipe, resolve


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


@pytest.mark.parametrize(
    ("name", "overrides", "profile"),
    [
        ("free", [], "digits"),
        ("free", ["data.name=digits"], "digits"),
        ("free", ["data.name=digits", 'data.name="cifar10"'], "tiny-imagenet-cpu"),
        ("record/free", ["data.name=digits"], "record"),
        ("mine.yaml", [], None),
    ],
)
def test_the_default_profile_follows_the_data(name, overrides, profile, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_profile(name, overrides) == profile


@pytest.mark.parametrize(
    ("data", "gpu", "profile"),
    [
        ("folder", True, "tiny-imagenet"),
        ("folder", False, "photos-cpu"),
        ("tiny-imagenet", True, "tiny-imagenet"),
        ("tiny-imagenet", False, "tiny-imagenet-cpu"),
        ("cifar100", False, "tiny-imagenet-cpu"),
    ],
)
def test_data_has_a_profile_for_the_machine(data, gpu, profile, monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    caplog.set_level("INFO")
    changes = [f'data.name="{data}"']
    assert default_profile("free", changes) == profile
    recipe = resolve("free", profile, changes)
    assert recipe.data.name == data
    # Without a GPU nothing is downloaded, and images are small.
    assert gpu or (not recipe.model.pretrained and recipe.data.size <= 64)
    assert f"profile {profile}" in caplog.text


def test_images_of_a_folder_have_the_size_of_the_models_input():
    def size(profile, *changes):
        return resolve("free", profile, ["data.name=folder", "data.root=pets", *changes]).data.size

    assert size("photos-cpu") == 64
    assert size("tiny-imagenet") == 224
    assert size("tiny-imagenet", "model.input_size=128") == 128
    assert size("tiny-imagenet", "data.size=96") == 96
    assert size(None, "model.input_size=null") is None
    assert resolve("free", "tiny-imagenet").data.size is None
