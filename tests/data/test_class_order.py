"""Which class has which label: natural order, or a file of names."""

import json

import pytest

from gratis.data import DataSettings, load
from gratis.data.class_order import natural_order, read_class_names
from gratis.errors import GratisError


@pytest.mark.parametrize(
    "names",
    [
        ["1", "2", "10"],
        ["-10", "-2", "0.25", "0.5", "3"],
        ["class 2", "class 10"],
        ["a", "a1b2", "a1b10", "b"],
        ["n01440764", "n02102040"],
        ["01", "1", "2"],
        ["Cat", "ant", "dog"],
    ],
)
def test_numbers_are_sorted_by_value(names):
    assert natural_order(names[::-1]) == names


@pytest.fixture
def numbered(tmp_path, noise):
    """Ten classes called 1 to 10, of a training and a validation image each."""
    for part in ("train", "val"):
        for number in range(1, 11):
            noise(tmp_path / "num" / part / str(number) / "a.png", number, (8, 8))
    return tmp_path / "num"


def read(root, names=None, **options):
    return load(DataSettings(name="folder", root=root, size=8, class_names=names, **options))


def test_another_order_than_the_alphabetical_one_is_a_warning(numbered, pets, messages):
    assert read(numbered).classes == tuple(map(str, range(1, 11)))
    assert any("in natural order (1, 2, 3, and 7 more), not in" in text for text in messages())
    read(pets)
    assert not any("natural order" in text for text in messages())


ALPHABETICAL = sorted(map(str, range(1, 11)))


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(ALPHABETICAL),
        "\ufeff" + "\r\n".join(ALPHABETICAL) + "\r\n",
        json.dumps(ALPHABETICAL),
        json.dumps({name: label for label, name in enumerate(ALPHABETICAL)}),
        json.dumps({str(label): f"class {label}" for label in range(10)}).replace("class ", "c"),
    ],
)
def test_a_file_gives_the_order(numbered, tmp_path, text):
    (tmp_path / "names.txt").write_text(text, encoding="utf-8")
    if "c0" in text:
        assert read_class_names(tmp_path / "names.txt") == [f"c{label}" for label in range(10)]
        return
    dataset = read(numbered, tmp_path / "names.txt")
    assert dataset.classes == tuple(ALPHABETICAL)
    natural = read(numbered)
    image = natural.train.images[natural.classes.index("10")]
    assert (dataset.train.images[dataset.classes.index("10")] == image).all()
    assert dataset.train.labels.tolist() == list(range(10))


def test_a_file_may_name_classes_without_images(numbered, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(map(str, range(13))))
    dataset = read(numbered, tmp_path / "names.txt")
    assert len(dataset.classes) == 13
    assert dataset.train.labels.tolist() == list(range(1, 11))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1\n2", "lacks the class folders 3, 4, 5, and 5 more"),
        ("1\n1", "names 1 twice"),
        ("[1, 2]", "neither a list of names nor a mapping"),
        ('{"1": 1}', "labels are not 0 to 0"),
        ('{"1": 0.5}', "labels are not whole numbers"),
        ('{"cat": "dog"}', "no list of classes"),
        ("[" * 100_000, "no list of classes"),
        ('{"1', "no list of classes"),
    ],
)
def test_a_damaged_file_of_names_is_one_line(numbered, tmp_path, text, problem):
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(GratisError, match=rf"names\.txt: .*{problem}") as caught:
        read(numbered, tmp_path / "names.txt")
    assert "\n" not in str(caught.value)


def test_a_missing_file_of_names_is_named(numbered, tmp_path):
    for path in (tmp_path / "nothing.txt", tmp_path):
        with pytest.raises(GratisError, match=r"cannot be read \((No such|Is a dir)"):
            read(numbered, path)
