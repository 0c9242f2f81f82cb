"""Batches and their micro-batches: views stay with their images, and wrong tensors are refused."""

import dataclasses

import pytest
import torch

from gratis.data import Batch
from gratis.errors import GratisError

IMAGES, LABELS = torch.rand(4, 3, 2, 2), torch.arange(4)


def batch_of(n, views):
    """Make a batch whose every value tells its image, its view or both."""
    places = torch.tensor([(k, i) for k in range(views) for i in range(n)])
    content = (100 * places[:, 0] + places[:, 1]).float()
    batch = Batch(
        torch.arange(n).float().view(n, 1, 1, 1).expand(n, 3, 2, 2),
        torch.arange(n) % 3,
        torch.arange(n) + 1000,
        content.view(-1, 1, 1, 1).expand(-1, 3, 2, 2).contiguous(memory_format=torch.channels_last),
        content.view(-1, 1, 1).expand(-1, 2, 3),
        number=5,
    )
    assert batch.view_count == views
    return batch


@pytest.mark.parametrize("views", [1, 2, 3])
@pytest.mark.parametrize(("n", "parts"), [(6, 1), (6, 2), (7, 3), (5, 5), (3, 8), (1, 2)])
def test_views_stay_with_their_images(n, parts, views):
    batch = batch_of(n, views)
    split = batch.split(parts)
    sizes = [len(part) for part in split]
    assert (len(sizes), sum(sizes)) == (min(n, parts), n)
    assert max(sizes) - min(sizes) <= 1
    assert torch.equal(torch.cat([part.indices for part in split]), batch.indices)
    for part, rows in zip(split, batch.split_views(batch.views, parts), strict=True):
        assert (part.view_count, part.number) == (views, 5)
        assert torch.equal(part.views, rows)
        # The first view's content is the image's own number, the next view's 100 more.
        own = part.images[:, 0, 0, 0]
        expected = torch.cat([own + 100 * k for k in range(views)])
        assert torch.equal(part.views[:, 0, 0, 0], expected)
        assert torch.equal(part.affines[:, 0, 0], expected)
        assert torch.equal(part.labels, (own % 3).long())
        assert part.views.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_function_in_parts_gives_the_same_result(parts, views):
    batch = batch_of(7, views)
    sizes = []

    def product(rows, more, labels):
        sizes.append(len(rows))
        return (rows + more) * labels.view(-1, 1, 1, 1)

    found = batch.in_micro_batches(parts, product, batch.views, 2 * batch.views)
    assert torch.equal(found, 3 * batch.views * batch.view_labels.view(-1, 1, 1, 1))
    assert len(sizes) == parts


def test_gradients_of_the_parts_reach_one_leaf_tensor():
    batch = batch_of(7, 2)
    leaf = batch.views.clone().requires_grad_()
    for factor, rows in enumerate(batch.split_views(leaf, 3)):
        (factor * rows).sum().backward()
    expected = torch.cat(2 * [torch.tensor([0.0, 0, 1, 1, 2, 2, 2])])
    assert torch.equal(leaf.grad[:, 0, 0, 0], expected)


def test_a_batch_without_maps_has_parts_without_maps():
    batch = dataclasses.replace(batch_of(6, 1), affines=None)
    assert [part.affines for part in batch.split(2)] == [None, None]


def test_a_batch_never_changes():
    batch = Batch.of(IMAGES, LABELS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch.views = IMAGES
    assert torch.equal(batch.views, IMAGES)
    assert torch.equal(batch.indices, torch.arange(4))


def with_nan(images):
    images = images.clone()
    images[1, 2, 0, 1] = torch.nan
    return images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ((IMAGES - 0.5) / 0.25, r"in \[0, 1\], not from -.* to .*normalise inside the model"),
        (IMAGES * 255, r"divide 0\.\.255 by 255"),
        (IMAGES - IMAGES.min() - 1e-3, r"in \[0, 1\], not from -0\.001"),
        (IMAGES - IMAGES.max() + 1.01, r"in \[0, 1\], not from .* to 1\.01"),
        (with_nan(IMAGES), r"in \[0, 1\], not from nan"),
        (IMAGES / 0, r"in \[0, 1\], not from .* to inf"),
        ((255 * IMAGES).to(torch.uint8), r"float tensor .* not torch\.uint8 \(4, 3, 2, 2\)"),
        (IMAGES[0], r"float tensor .* not torch\.float32 \(3, 2, 2\)"),
        (IMAGES.numpy(), r"float tensor .* not ndarray"),
        (IMAGES[:0], r"images: needs at least one"),
    ],
)
def test_wrong_images_are_refused(images, message):
    labels = LABELS[: len(images)]
    with pytest.raises(GratisError, match=message) as error:
        Batch.of(images, labels)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (torch.eye(10)[LABELS], r"torch\.float32 \(4, 10\)"),
        (LABELS.int(), r"torch\.int32 \(4,\)"),
        (LABELS.float(), r"torch\.float32 \(4,\)"),
        (LABELS.tolist(), "list"),
        (LABELS.numpy(), "ndarray"),
        (LABELS[:3], r"torch\.int64 \(3,\)"),
        (LABELS[:, None], r"torch\.int64 \(4, 1\)"),
    ],
)
def test_wrong_labels_are_refused(labels, found):
    message = rf"labels: needs an int64 tensor of shape \(4,\), one for each image, not {found}"
    with pytest.raises(GratisError, match=message):
        Batch.of(IMAGES, labels)


@pytest.mark.parametrize(
    ("indices", "split_size", "message"),
    [
        (LABELS, None, "give both or neither"),
        (None, 4, "give both or neither"),
        (LABELS[:2], 4, r"indices: needs an int64 tensor of shape \(4,\)"),
        (LABELS.float(), 4, r"indices: needs an int64 tensor"),
    ],
)
def test_wrong_indices_are_refused(indices, split_size, message):
    with pytest.raises(GratisError, match=message):
        Batch.of(IMAGES, LABELS, indices, split_size)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_images_may_miss_the_range_by_a_rounding_error(dtype):
    images = IMAGES.to(dtype)
    assert len(Batch.of(images, LABELS)) == 4
    if dtype.itemsize >= 4:
        Batch.of(images.clamp_min(0) * (1 + 1e-6), LABELS)
