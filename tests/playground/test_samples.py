"""What a visitor sees first: the sample images and the models that come with gratis."""

import pytest

from gratis.playground.attack_steps import first_error
from gratis.playground.measured import measured
from gratis.playground.models import load_models
from gratis.playground.page import SAMPLES, sample
from gratis.run.bundled import BUNDLED


@pytest.fixture(scope="module")
def bundled():
    return load_models(list(BUNDLED))


def test_every_sample_is_shown_and_has_its_source():
    folder = sample(SAMPLES[0]).parent
    assert {file.name for file in folder.glob("*.jpg")} == set(SAMPLES)
    sources = (folder / "SOURCES.md").read_text()
    assert all(f"`{name}`" in sources for name in SAMPLES)


@pytest.mark.parametrize(("name", "predicted"), [("coffee", "espresso"), ("rocket", "obelisk")])
def test_at_the_first_epsilon_the_robust_model_withstands_and_the_natural_one_does_not(
    bundled, name, predicted
):
    firsts = []
    for model in bundled:
        images = model.read(sample(f"{name}.jpg"))
        label = int(model.probabilities(images).argmax())
        assert model.classes[label] == predicted
        firsts.append(first_error(model, images, label, "linf", 16 / 255))
    natural, robust = firsts
    assert natural < 2 / 255 < 4 / 255 < robust


def test_a_model_says_how_it_was_trained_and_how_often_it_is_right(bundled):
    natural, robust = (measured(model.folder) for model in bundled)
    assert natural == (
        "Trained on images as they are. Of 10,000 images not seen in training 27.0% are right, "
        "0.0% under attack (epsilon 4/255)."
    )
    assert robust.startswith("Trained on attacked images. ")
    assert measured(None) == ""
