import hashlib

import numpy as np
import pytest
import torch

from gratis.digests import digest, file_digest, tensors_digest


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


def test_tensors_count_by_name_type_shape_and_content_but_not_by_layout():
    a, b = torch.arange(96.0).reshape(2, 3, 4, 4), torch.ones(2, dtype=torch.bfloat16)
    wanted = tensors_digest({"a": a, "b": b})
    turned = a.to(memory_format=torch.channels_last).requires_grad_()
    assert tensors_digest({"b": b, "a": turned}) == wanted
    others = [
        {"a": a},
        {"a": a, "c": b},
        {"a": a + 1, "b": b},
        {"a": a.double(), "b": b},
        {"a": a.flatten(), "b": b},
        {"a": a, "b": b.half()},
    ]
    found = {wanted, tensors_digest({"a": a, "b": b}, "text"), *map(tensors_digest, others)}
    assert len(found) == len(others) + 2
