"""The file of sample images: what was saved is loaded, and anything else is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save

from gratis.errors import GratisError
from gratis.results import AtEpsilon, Prediction, SampleAttack, SampleImage, SampleImages

ATTACK = SampleAttack(epsilon=0.1, steps=2, restarts=1, random_start=True, loss="cross_entropy")


@pytest.fixture
def samples():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 6, 3), dtype=np.uint8)
    kinds = ("clean", "geometric", "adversarial", "perturbation", "denoised")
    guess = Prediction(name="cat", confidence=0.25)
    images = [
        SampleImage(
            index=3 * row,
            label=("dog", "cat")[row],
            pictures=dict(zip(kinds, pixels[row], strict=True)),
            predictions=dict.fromkeys(kinds[:3], guess),
            at_epsilons=[AtEpsilon(e, pixels[row, i], guess) for i, e in enumerate((0.0, 0.1))],
        )
        for row in range(2)
    ]
    return SampleImages(("dog", "cat"), np.array([0, 1, 1, 1]), ATTACK, images)


@pytest.fixture
def path(samples, tmp_path):
    samples.save(tmp_path / "x.safetensors")
    return tmp_path / "x.safetensors"


def test_what_was_saved_is_loaded(samples, path):
    found = SampleImages.load(path)
    assert found.classes == samples.classes and found.attack == samples.attack
    np.testing.assert_array_equal(found.labels, samples.labels)
    for image, expected in zip(found.images, samples.images, strict=True):
        assert (image.index, image.label) == (expected.index, expected.label)
        assert image.predictions == expected.predictions
        # A page shows the kinds in this order.
        assert list(image.pictures) == list(expected.pictures)
        for kind, picture in image.pictures.items():
            np.testing.assert_array_equal(picture, expected.pictures[kind])
        assert [step.epsilon for step in image.at_epsilons] == [0.0, 0.1]
        for step, of in zip(image.at_epsilons, expected.at_epsilons, strict=True):
            np.testing.assert_array_equal(step.picture, of.picture)
            assert step.prediction == of.prediction


def test_a_model_without_gradients_has_no_attack(samples, path):
    kinds = ("clean", "geometric")
    images = [
        replace(
            image,
            pictures={kind: image.pictures[kind] for kind in kinds},
            predictions={kind: image.predictions[kind] for kind in kinds},
        )
        for image in samples.images
    ]
    replace(samples, attack=None, images=images).save(path)
    found = SampleImages.load(path)
    assert found.attack is None and tuple(found.images[0].pictures) == kinds


def test_a_file_of_an_earlier_version_has_no_other_epsilons(samples, path):
    arrays = {name: array for name, array in load_file(path).items() if name != "at_epsilons"}
    described = json.loads(description(path))
    del described["epsilons"], described["at_epsilons"]
    path.write_bytes(save(arrays, {"description": json.dumps(described)}))
    found = SampleImages.load(path)
    assert [image.at_epsilons for image in found.images] == [[], []]


ZEROS = np.zeros((2, 4, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": None},
        {"index": None},
        {"clean": None},
        {"labels": np.array([0, 1, 1, 2])},
        {"labels": np.array([0, -1, 1, 1])},
        {"labels": np.array([0.0, 1, 1, 1])},
        {"labels": np.array([], dtype=np.int64)},
        {"index": np.array([0, 4])},
        {"index": np.array([[0], [3]])},
        {"index": np.array([0])},
        {"clean": ZEROS.astype(np.float32)},
        {"clean": ZEROS[..., :1]},
        {"denoised": ZEROS[:1]},
        {"adversarial": None},
        {"unknown": ZEROS},
        {"at_epsilons": None},
        {"at_epsilons": ZEROS},
        {"at_epsilons": np.zeros((2, 3, 4, 6, 3), dtype=np.uint8)},
        {"at_epsilons": np.zeros((2, 2, 4, 6, 3), dtype=np.float32)},
    ],
)
def test_other_arrays_are_refused(path, change):
    described = description(path)
    arrays = load_file(path) | change
    present = {name: array for name, array in arrays.items() if array is not None}
    path.write_bytes(save(present, {"description": described}))
    with pytest.raises(GratisError, match=r"x\.safetensors: holds no sample images; delete it"):
        SampleImages.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"classes": []},
        {"classes": "dog"},
        {"classes": ["dog"]},
        {"attack": None},
        {"attack": {"steps": 3}},
        {"predictions": {"clean": []}},
        {"predictions": {"clean": [{"name": "cat", "confidence": 2}] * 2}},
        {"predictions": {"unknown": []}},
        {"more": 1},
        {"epsilons": []},
        {"epsilons": [0.0, 2.0]},
        {"epsilons": [0.0, 0.1, 0.2]},
        {"at_epsilons": []},
        {"at_epsilons": [[{"name": "cat", "confidence": 0.25}]] * 2},
    ],
)
def test_other_descriptions_are_refused(path, change):
    described = json.loads(description(path)) | change
    path.write_bytes(save(load_file(path), {"description": json.dumps(described)}))
    with pytest.raises(GratisError, match=r"x\.safetensors: holds no sample images.*; delete it"):
        SampleImages.load(path)


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x80\x04]."])
def test_a_damaged_file_is_one_clear_line(path, content):
    path.write_bytes(content)
    with pytest.raises(GratisError, match="holds no sample images") as problem:
        SampleImages.load(path)
    assert "\n" not in str(problem.value)


def test_a_file_without_description_and_a_missing_file_are_refused(path, tmp_path):
    path.write_bytes(save(load_file(path)))
    with pytest.raises(GratisError, match="holds no sample images"):
        SampleImages.load(path)
    with pytest.raises(GratisError, match="does not exist"):
        SampleImages.load(tmp_path / "none")


def description(path):
    with safe_open(path, "numpy") as file:
        return file.metadata()["description"]
