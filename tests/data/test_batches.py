import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gratis.data import Batches, Split, hold_out, to_float

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def split_of(labels: list[int], size: int = 4) -> Split:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (len(labels), size, size, 3), dtype=np.uint8)
    return Split(images, np.array(labels, dtype=np.int64))


def make(count: int, batch_size: int, seed: int = 0, indices=None) -> Batches:
    split = split_of([number % 7 for number in range(count)])
    chosen = np.arange(count) if indices is None else np.array(indices)
    return Batches(split, chosen, batch_size, seed, "cpu")


@given(st.integers(1, 60), st.integers(2, 20), st.integers(0, 3))
def test_a_traversal_visits_every_image_once_in_even_batches(count, batch_size, traversal):
    batches = make(count, batch_size)
    first = traversal * len(batches)
    drawn = [batches[first + place] for place in range(len(batches))]
    indices = torch.cat([batch.indices for batch in drawn])
    assert sorted(indices.tolist()) == list(range(count))
    sizes = [len(batch) for batch in drawn]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) == batches.largest
    assert sum(sizes) == batches.image_count
    assert min(sizes) >= 2 or count == 1
    odd_pairs = batch_size == 2 and count % 2 == 1 and count > 1
    assert max(sizes) <= batch_size + odd_pairs
    assert len(batches) == -(-count // batch_size) - odd_pairs


def test_a_batch_holds_the_images_of_its_indices():
    split = split_of(list(range(50)))
    chosen = np.array([44, 3, 17, 8, 29, 31, 2])
    batches = Batches(split, chosen, 4, 0, "cpu")
    for batch in batches:
        positions = batch.indices.numpy()
        assert set(positions) <= set(chosen)
        assert batch.labels.tolist() == split.labels[positions].tolist()
        expected = split.images[positions].transpose(0, 3, 1, 2).astype(np.float32) / 255
        assert np.array_equal(batch.images.numpy(), expected)
        assert (batch.labels.dtype, batch.indices.dtype) == (torch.int64, torch.int64)


def test_batches_depend_on_seed_and_number_alone():
    one, other = make(23, 5), make(23, 5)
    forward = [one[number] for number in range(12)]
    for number in reversed(range(12)):
        assert torch.equal(other[number].indices, forward[number].indices)
        assert torch.equal(other[number].images, forward[number].images)
    assert not torch.equal(one[0].indices, one[len(one)].indices)
    assert not torch.equal(one[0].indices, make(23, 5, seed=1)[0].indices)
    assert [batch.indices.tolist() for batch in one] == [
        batch.indices.tolist() for batch in forward[: len(one)]
    ]


@pytest.mark.parametrize("count", [1, 2, 9])
def test_images_are_channels_last_floats(count):
    images = make(count, 9)[0].images
    assert images.shape == (count, 3, 4, 4)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_to_float_covers_the_whole_range_exactly():
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 8, 32, 1).repeat(3, axis=3)
    images = to_float(pixels, "cpu")
    expected = torch.arange(256, dtype=torch.float32).reshape(8, 32) / 255
    assert torch.equal(images[0, 1], expected)
    assert pixels.max() == 255, "the source does not change"


def test_to_float_copies_read_only_memory_without_a_warning(tmp_path):
    pixels = split_of([0] * 5).images
    np.save(tmp_path / "images.npy", pixels)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")[1:4]
    assert torch.equal(to_float(mapped, "cpu"), to_float(pixels[1:4], "cpu"))


def test_memory_mapped_images_are_read_without_warning(tmp_path):
    split = split_of([0] * 10)
    np.save(tmp_path / "images.npy", split.images)
    mapped = Split(np.load(tmp_path / "images.npy", mmap_mode="r"), split.labels)
    for a, b in zip(
        Batches(split, np.arange(10), 4, 0, "cpu"),
        Batches(mapped, np.arange(10), 4, 0, "cpu"),
        strict=True,
    ):
        assert torch.equal(a.images, b.images)


def test_a_split_on_the_device_gives_the_same_batches(monkeypatch):
    chosen = [9, 4, 1, 0, 7, 3, 2]
    plain = make(10, 3, indices=chosen)
    monkeypatch.setattr(Batches, "_fits_device", lambda self: True)
    monkeypatch.setattr("gratis.data.batches._CHUNK", 3)
    resident = make(10, 3, indices=chosen)
    for number in range(2 * len(plain)):
        a, b = plain[number], resident[number]
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.indices, b.indices)
        assert b.images.is_contiguous(memory_format=torch.channels_last)


def test_a_split_moves_to_a_gpu_only_if_half_of_the_memory_holds_it(monkeypatch):
    batches = make(10, 3)
    assert not batches._fits_device()
    monkeypatch.setattr(batches, "_device", torch.device("cuda"))
    for free, fits in ((2 * 10 * 48, False), (2 * 10 * 48 + 2, True)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, free))
        assert batches._fits_device() is fits


@CUDA
@pytest.mark.gpu
@pytest.mark.parametrize("fits", [True, False])
def test_a_gpu_gets_the_same_batches(monkeypatch, fits):
    monkeypatch.setattr(Batches, "_fits_device", lambda self: fits and self._device.type == "cuda")
    split = split_of([0, 1] * 10)
    for a, b in zip(
        Batches(split, np.arange(20), 6, 0, "cpu"),
        Batches(split, np.arange(20), 6, 0, "cuda"),
        strict=True,
    ):
        assert b.images.is_cuda and b.labels.is_cuda and b.indices.is_cuda
        assert torch.equal(a.images, b.images.cpu())
        assert torch.equal(a.indices, b.indices.cpu())
        assert b.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("count", "batch_size"), [(5, 1), (0, 4)])
def test_batches_of_one_and_no_images_are_refused(count, batch_size):
    with pytest.raises(ValueError, match="needs batches of at least 2"):
        make(count, batch_size)


def test_a_negative_number_is_refused():
    with pytest.raises(IndexError, match="count from 0"):
        make(5, 2)[-1]


def test_views_are_made_with_the_batch_and_depend_on_seed_and_number_alone():
    def make_views(images, source, first, total):
        noise = torch.rand((2 * len(images), 2, 3), generator=source)
        return torch.cat([images, images.flip(3)]), noise

    def drawn(number, seed=0):
        return Batches(split_of([0] * 9), np.arange(9), 4, seed, "cpu", make_views)[number]

    batch = drawn(5)
    assert (len(batch), batch.view_count) == (3, 2)
    assert torch.equal(batch.views[3:], batch.images.flip(3))
    assert torch.equal(batch.affines, drawn(5).affines)
    assert not torch.equal(batch.affines, drawn(4).affines)
    assert not torch.equal(batch.affines, drawn(5, seed=1).affines)
    plain = make(9, 4)[5]
    assert plain.views is plain.images and plain.affines is None


def test_a_batch_knows_its_number_and_the_size_of_its_split():
    # The size of the whole split, also where training uses a part of it.
    batch = make(9, 4, indices=[1, 3, 5, 8])[6]
    assert (batch.number, batch.split_size) == (6, 9)


def test_the_held_out_part_is_fixed_balanced_and_apart():
    split = split_of([0] * 30 + [1] * 12 + [3] * 7 + [4] + [5] * 2)
    training, held_out = hold_out(split)
    assert sorted([*training, *held_out]) == list(range(len(split)))
    counts = np.bincount(split.labels[held_out], minlength=6)
    assert counts.tolist() == [5, 5, 0, 3, 0, 1]
    assert all((np.diff(part) > 0).all() for part in (training, held_out))
    again = hold_out(split)
    assert np.array_equal(again[1], held_out)
    assert not np.array_equal(hold_out(split, seed=1)[1], held_out)


def test_nothing_held_out_and_a_negative_count():
    training, held_out = hold_out(split_of([0, 1, 0]), per_class=0)
    assert (training.tolist(), held_out.tolist()) == ([0, 1, 2], [])
    with pytest.raises(ValueError, match="cannot hold out -1"):
        hold_out(split_of([0, 1]), per_class=-1)
