"""Parts of a batch: views stay with their images, and what was parted comes together again."""

import pytest
import torch

from gratis.data import Batch


def batch_of(n, views, parts):
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
        parts=parts,
    )
    assert batch.view_count == views
    return batch


@pytest.mark.parametrize("views", [1, 2, 3])
@pytest.mark.parametrize(("n", "parts"), [(6, 1), (6, 2), (7, 3), (5, 5), (3, 8), (1, 2)])
def test_views_stay_with_their_images(n, parts, views):
    batch = batch_of(n, views, parts)
    split = batch.split()
    sizes = [len(part) for part in split]
    assert (len(sizes), sum(sizes)) == (min(n, parts), n)
    assert max(sizes) - min(sizes) <= 1
    assert torch.equal(torch.cat([part.indices for part in split]), batch.indices)
    for part, rows in zip(split, batch.split_views(batch.views), strict=True):
        assert (part.view_count, part.number) == (views, 5)
        assert torch.equal(part.views, rows)
        # The first view's content is the image's own number, the next view's 100 more.
        own = part.images[:, 0, 0, 0]
        expected = torch.cat([own + 100 * k for k in range(views)])
        assert torch.equal(part.views[:, 0, 0, 0], expected)
        assert torch.equal(part.maps[:, 0, 0], expected)
        assert torch.equal(part.labels, (own % 3).long())
        assert part.views.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_by_part_is_as_by_whole(parts, views):
    batch = batch_of(7, views, parts)
    sizes = []

    def product(rows, more, labels):
        sizes.append(len(rows))
        return (rows + more) * labels.view(-1, 1, 1, 1)

    found = batch.by_part(product, batch.views, 2 * batch.views)
    assert torch.equal(found, 3 * batch.views * batch.view_labels.view(-1, 1, 1, 1))
    assert len(sizes) == parts


def test_gradients_of_parts_gather_in_one_leaf():
    batch = batch_of(7, 2, 3)
    leaf = batch.views.clone().requires_grad_()
    for factor, rows in enumerate(batch.split_views(leaf)):
        (factor * rows).sum().backward()
    expected = torch.cat(2 * [torch.tensor([0.0, 0, 1, 1, 2, 2, 2])])
    assert torch.equal(leaf.grad[:, 0, 0, 0], expected)


def test_a_batch_without_maps_has_parts_without_maps():
    batch = batch_of(6, 1, 2)
    batch.maps = None
    assert [part.maps for part in batch.split()] == [None, None]
