"""Adversarial examples on disk: any model is evaluated on them; forged ones are refused."""

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from gratis.data.dataset import Split
from gratis.errors import GratisError
from gratis.evaluation import EvaluateSettings, measure, rescore
from gratis.results import Examples

STANDARD = EvaluateSettings(suite="standard", pgd_steps=3, epsilon="5/255", batch_size=10)


@pytest.fixture
def sets(tmp_path, split):
    from gratis.validation_sets import build, load

    build(tmp_path / "sets", split, True, None, 0.0, seed=0)
    return load(tmp_path / "sets", split)


@pytest.fixture
def saved(tmp_path, net, split, sets):
    def save(kept):
        settings = STANDARD.model_copy(update={"examples": kept})
        found = measure(net, split, sets, settings, 0, tmp_path / "parts")
        found.examples.save(tmp_path / f"{kept}.safetensors")
        return found, tmp_path / f"{kept}.safetensors"

    return save


@pytest.mark.parametrize("kept", ["float32", "uint8"])
def test_rescored_examples_give_the_robust_accuracy(kept, saved, net, split):
    found, path = saved(kept)
    examples = Examples.load(path)
    assert examples.images.dtype == kept
    assert examples.epsilon == 5 / 255
    correct = rescore(net, split, examples, path, batch_size=7)
    np.testing.assert_array_equal(correct, found.correct["robust"])
    assert 0 < correct.sum() < found.correct["clean"].sum()


@pytest.mark.parametrize("kept", ["float32", "uint8"])
def test_plain_torch_gives_the_same_accuracy(kept, saved, net, split):
    found, path = saved(kept)
    file = load_file(path)
    images = torch.from_numpy(file["images"])
    if kept == "uint8":
        images = images.permute(0, 3, 1, 2) / 255
    correct = net(images).argmax(1).numpy() == file["labels"]
    np.testing.assert_array_equal(correct, found.correct["robust"])
    clean = torch.from_numpy(split.images).permute(0, 3, 1, 2) / 255
    changed = (images - clean).abs().amax((1, 2, 3)).numpy()
    assert changed.max() <= 5 / 255 + 1e-6
    # Only the images of examples that fool the model are changed.
    np.testing.assert_array_equal(changed > 0, found.correct["clean"] & ~correct)


def test_the_outcomes_are_those_on_whole_pixel_values(saved):
    whole, path = saved("uint8")
    exact, _ = saved("float32")
    assert whole.accuracy("robust") >= exact.accuracy("robust") - 0.1
    with safe_open(path, "numpy") as file:
        assert file.metadata() == {"epsilon": repr(5 / 255)}


def test_a_subset_has_its_indices(net, split, sets):
    settings = STANDARD.model_copy(update={"examples": "uint8", "images": 6})
    found = measure(net, split, sets, settings, 0)
    np.testing.assert_array_equal(found.examples.index, [0, 4, 8, 12, 16, 20])
    np.testing.assert_array_equal(found.examples.labels, split.labels[::4])
    assert measure(net, split, sets, STANDARD, 0).examples is None


def test_examples_beyond_epsilon_or_of_other_images_are_refused(saved, net, split):
    _, path = saved("uint8")
    examples = Examples.load(path)
    images = examples.images.copy()
    images[3, 0, 0, 0] ^= 128
    forged = Examples(images, examples.index, examples.labels, examples.epsilon)
    with pytest.raises(GratisError, match=r"the example of image 3 is outside epsilon"):
        rescore(net, split, forged, path, 10)
    for other in (
        Split(split.images, split.labels[::-1].copy()),
        Split(split.images[:9], split.labels[:9]),
        Split(split.images[:, :6, :6], split.labels),
    ):
        with pytest.raises(GratisError, match=f"{path}: was made from another validation split"):
            rescore(net, other, examples, path, 10)


@pytest.mark.parametrize("damage", ["absent", "nonsense", "no epsilon", "shape", "type"])
def test_other_files_are_refused(damage, saved, tmp_path):
    _, path = saved("uint8")
    arrays = load_file(path)
    path = tmp_path / "other.safetensors"
    metadata = {"epsilon": "0.1"}
    if damage == "nonsense":
        path.write_bytes(b"nonsense")
    elif damage == "no epsilon":
        save_file(arrays, path)
    elif damage == "shape":
        save_file(arrays | {"labels": arrays["labels"][:2]}, path, metadata)
    elif damage == "type":
        save_file(arrays | {"images": arrays["images"].astype(np.int32)}, path, metadata)
    problem = "does not exist" if damage == "absent" else "holds no adversarial examples"
    with pytest.raises(GratisError, match=f"{path}: {problem}.*; evaluate again with"):
        Examples.load(path)
