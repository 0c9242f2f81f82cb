import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from gratis.data import Dataset, DataSettings, load
from gratis.errors import GratisError


def test_the_split_is_fixed_stratified_and_whole():
    dataset = load(DataSettings(name="digits"))
    assert (len(dataset.train), len(dataset.validation)) == (1437, 360)
    assert dataset.fingerprint == "603b3fd7773db04fdecbef69de86e8e7cb279f53dd4eda03af58a5d31f268fbb"
    assert not dataset.flippable
    assert dataset.classes == tuple("0123456789")
    shares = [np.bincount(s.labels) / len(s) for s in (dataset.train, dataset.validation)]
    assert np.abs(shares[0] - shares[1]).max() < 1 / 360
    original = load_digits()
    grey = np.rint(original.images * 255 / 16).astype(np.uint8)
    parts = train_test_split(
        grey, original.target, test_size=360, stratify=original.target, random_state=0
    )
    ours = [dataset.train.images, dataset.validation.images]
    for expected, images in zip(parts[:2], ours, strict=True):
        assert sorted(i.tobytes() for i in images[..., 0]) == sorted(i.tobytes() for i in expected)


def test_scikit_learn_is_not_needed():
    code = "import sys; from gratis.data import *; load(DataSettings(name='digits'))"
    subprocess.run(
        [sys.executable, "-c", f"{code}; assert 'sklearn' not in sys.modules"], check=True
    )


def test_images_are_grey_and_use_the_whole_range():
    images = load(DataSettings(name="digits")).train.images
    assert images.shape == (1437, 8, 8, 3)
    assert images.dtype == np.uint8
    assert (images == images[..., :1]).all()
    assert (images.min(), images.max()) == (0, 255)


def test_fewer_classes_are_the_same_images_and_the_size_can_be_changed():
    whole = load(DataSettings(name="digits"))
    few = load(DataSettings(name="digits", classes=3))
    assert few.classes == ("0", "1", "2")
    assert np.array_equal(few.train.images, whole.train.images[whole.train.labels < 3])
    assert few.fingerprint != whole.fingerprint
    assert load(DataSettings(name="digits", classes=2, size=12)).size == 12


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (DataSettings(name="digits", classes=11), "digits has 10 classes, not 11"),
        (DataSettings(name="digits", root="/x"), "leave out --data-root"),
    ],
)
def test_impossible_wishes_are_refused(settings, problem):
    with pytest.raises(GratisError, match=problem):
        load(settings)


@pytest.mark.parametrize(
    ("train", "validation", "classes", "problem"),
    [
        (3, 3, "a", "toy: has 1 class"),
        (0, 3, "ab", "toy: has no training images of the 2 classes"),
        (3, 0, "ab", "toy: has no validation images of the 2 classes"),
    ],
)
def test_no_data_set_is_degenerate(train, validation, classes, problem):
    whole = load(DataSettings(name="digits")).train
    zeros = whole.take(np.flatnonzero(whole.labels == 0))
    splits = (zeros.take(np.arange(count)) for count in (train, validation))
    with pytest.raises(GratisError, match=problem):
        Dataset("toy", *splits, tuple(classes), "toy")


def test_classes_may_begin_anywhere():
    whole, few = (
        load(DataSettings(name="digits")),
        load(DataSettings(name="digits", first_class=7, classes=2)),
    )
    assert few.classes == ("7", "8")
    kept = (whole.train.labels == 7) | (whole.train.labels == 8)
    assert np.array_equal(few.train.labels, whole.train.labels[kept] - 7)
    assert np.array_equal(few.train.images, whole.train.images[kept])
    with pytest.raises(GratisError, match=r"digits has 1 classes from number 9 on, not 2"):
        load(DataSettings(name="digits", first_class=9))
