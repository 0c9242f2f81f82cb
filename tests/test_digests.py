import hashlib

import numpy as np
import pytest

from gratis.digests import digest, file_digest


def test_a_file_has_the_digest_of_its_content(tmp_path):
    (tmp_path / "x").write_bytes(b"abc" * 1000)
    assert file_digest(tmp_path / "x") == hashlib.sha256(b"abc" * 1000).hexdigest()


PARTS = [
    [],
    ["ab"],
    ["a", "b"],
    ["b", "a"],
    ["", "ab"],
    [np.zeros(4, np.uint8)],
    [np.zeros((2, 2), np.uint8)],
    [np.zeros(2, np.uint8), np.zeros(2, np.uint8)],
    [np.zeros(1, np.int32)],
    [np.zeros(1, np.float32)],
    [np.zeros((0, 4), np.uint8)],
]


def test_contents_types_shapes_and_divisions_all_count():
    assert len({digest(parts) for parts in PARTS}) == len(PARTS)


def test_layout_in_memory_and_on_disk_makes_no_difference(tmp_path):
    array = np.arange(12, dtype=np.int64).reshape(3, 4)
    np.save(tmp_path / "x.npy", array)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for same in (np.asfortranarray(array), np.repeat(array, 2, axis=0)[::2], mapped):
        assert digest([same]) == digest([array])


@pytest.mark.parametrize("text", ["ä", "a\x00b"])
def test_text_counts_by_its_bytes(text):
    assert digest([text]) == digest(iter([text])) != digest([text + "a"])
