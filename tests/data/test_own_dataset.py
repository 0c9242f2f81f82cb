"""A data set of one's own is checked when it is made: types, shapes, labels, counts, sizes."""

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

import gratis
from gratis.data import Dataset, Split
from gratis.data.arrays import split_from_batches
from gratis.errors import GratisError

IMAGES = np.arange(6 * 4 * 4 * 3, dtype=np.uint8).reshape(6, 4, 4, 3)
LABELS = np.array([0, 1, 2, 0, 1, 2])
GOOD = Split(IMAGES, LABELS)


def mine(validation, train=GOOD):
    return Dataset("mine", train, validation, ("a", "b", "c"), "f" * 32)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (Split(IMAGES, LABELS + 1), "labels must be 0 to 2, one for each of the 3 classes, not 1"),
        (Split(IMAGES, LABELS - 1), "labels must be 0 to 2.* not -1 to 1"),
        (Split(IMAGES, LABELS[:5]), "there are 6 images and 5 labels"),
        (Split(IMAGES, LABELS.astype(float)), r"whole numbers of shape \(n,\), not float64"),
        (Split(IMAGES, np.eye(3)[LABELS]), r"whole numbers of shape \(n,\), not float64 \(6, 3\)"),
        (Split(IMAGES / 255, LABELS), r"must be uint8 of shape .* not float64"),
        (Split(IMAGES.transpose(0, 3, 1, 2), LABELS), r"not uint8 \(6, 3, 4, 4\)"),
        (Split(IMAGES[..., :1], LABELS), r"not uint8 \(6, 4, 4, 1\)"),
        (Split(IMAGES[..., 0], LABELS), r"not uint8 \(6, 4, 4\)"),
    ],
)
def test_data_that_does_not_fit_is_named(split, message):
    with pytest.raises(GratisError, match=f"mine: validation: .*{message}"):
        mine(split)
    with pytest.raises(GratisError, match="mine: train: "):
        mine(GOOD, split)


def test_splits_of_two_sizes_are_refused():
    with pytest.raises(GratisError, match="training images are 4x4 and validation images 2x4"):
        mine(Split(IMAGES[:, :2], LABELS))


@pytest.mark.parametrize("kind", [np.int32, np.uint8, torch.from_numpy])
def test_other_integers_and_tensors_are_converted(kind):
    labels = kind(LABELS) if kind is torch.from_numpy else LABELS.astype(kind)
    found = mine(Split(torch.from_numpy(IMAGES), labels)).validation
    assert found.labels.dtype == np.int64 and isinstance(found.images, np.ndarray)
    np.testing.assert_array_equal(found.labels, LABELS)


def test_a_path_as_data_is_refused_with_what_to_write(tmp_path):
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 3))
    with pytest.raises(GratisError, match=f"data is a path; write 'folder:{tmp_path}'"):
        gratis.evaluate(net, tmp_path)
    with pytest.raises(GratisError, match="data is a path; write 'csv:"):
        gratis.evaluate(net, tmp_path / "list.csv")


def test_a_data_set_of_torch_leaves_the_callers_random_numbers():
    items = TensorDataset(torch.rand(5, 3, 4, 4), torch.arange(5))
    before = torch.get_rng_state()
    assert len(split_from_batches(items)) == 5
    assert torch.equal(torch.get_rng_state(), before)


def test_images_of_several_sizes_in_a_data_set_of_torch_are_named():
    items = [(torch.rand(3, side, side), 0) for side in (4, 5)]
    with pytest.raises(GratisError, match=r"data: does not give .* as tensors .*equal size"):
        split_from_batches(Items(items))


class Items(torch.utils.data.Dataset):
    """A data set of torch with the items of a list."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]
