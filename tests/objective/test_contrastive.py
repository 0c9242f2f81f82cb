"""Both contrastive losses against plain Python."""

import math

import pytest
import torch

from gratis.objective.contrastive import ContrastiveSettings


def unit(vector):
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def distance(a, b):
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def naive_siamese(first, second, labels, margin):
    n = len(labels)
    positive = sum(distance(first[i], second[i]) ** 2 for i in range(n)) / n
    negatives = []
    for i in range(n):
        following = (i + 1) % n
        if labels[i] != labels[following]:
            shortfall = max(0.0, margin - distance(first[i], second[following]))
            negatives.append(shortfall**2)
    return (positive + sum(negatives) / max(1, len(negatives))) / 2


def naive_nt_xent(first, second, temperature):
    both = first + second
    n = len(first)

    def similarity(i, j):
        return math.exp(sum(x * y for x, y in zip(both[i], both[j], strict=True)) / temperature)

    total = 0.0
    for i in range(2 * n):
        others = sum(similarity(i, k) for k in range(2 * n) if k != i)
        total -= math.log(similarity(i, (i + n) % (2 * n)) / others)
    return total / (2 * n)


def halves(output):
    rows = [unit(row) for row in output.embedding.tolist()]
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


def term(**content):
    return ContrastiveSettings.model_validate(content).build()


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("margin", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("width", [2, 8])
def test_siamese_agrees_with_plain_python(n, margin, width, one_batch):
    batch, output = one_batch(n, width=width)
    expected = naive_siamese(*halves(output), batch.labels.tolist(), margin)
    assert term(margin=margin)(output, batch).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_nt_xent_agrees_with_plain_python(n, temperature, one_batch):
    batch, output = one_batch(n)
    expected = naive_nt_xent(*halves(output), temperature)
    loss = term(kind="nt_xent", temperature=temperature)(output, batch).item()
    assert loss == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_siamese_without_negatives_is_the_positives_alone(one_batch):
    batch, output = one_batch(5, labels=[3, 3, 3, 3, 3])
    first, second = halves(output)
    squares = [distance(a, b) ** 2 for a, b in zip(first, second, strict=True)]
    loss = term()(output, batch)
    assert loss.item() == pytest.approx(sum(squares) / 5 / 2, rel=1e-5)
    loss.backward()
    assert output.embedding.grad.isfinite().all()


def test_only_neighbours_of_another_class_are_negatives(one_batch):
    batch, output = one_batch(4, labels=[0, 0, 1, 1])
    # 1 -> 2 and 3 -> 0 differ; 0 -> 1 and 2 -> 3 do not.
    first, second = halves(output)
    positive = sum(distance(a, b) ** 2 for a, b in zip(first, second, strict=True)) / 4
    pairs = [(1, 2), (3, 0)]
    negative = sum(max(0.0, 2 - distance(first[i], second[j])) ** 2 for i, j in pairs) / 2
    assert term(margin=2)(output, batch).item() == pytest.approx((positive + negative) / 2)


@pytest.mark.parametrize("kind", ["siamese", "nt_xent"])
def test_the_length_of_an_embedding_does_not_matter(kind, one_batch):
    batch, output = one_batch()
    longer = output._replace(embedding=output.embedding * 37)
    torch.testing.assert_close(term(kind=kind)(longer, batch), term(kind=kind)(output, batch))


@pytest.mark.parametrize("kind", ["siamese", "nt_xent"])
@pytest.mark.parametrize("n", [1, 6])
def test_identical_embeddings_have_finite_gradients(kind, n, one_batch):
    batch, output = one_batch(n)
    leaf = torch.ones_like(output.embedding).requires_grad_()
    loss = term(kind=kind, margin=2)(output._replace(embedding=leaf), batch)
    loss.backward()
    assert loss.isfinite()
    assert leaf.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["siamese", "nt_xent"])
@pytest.mark.parametrize("dead", ["all", "first view", "one row"])
def test_dead_embeddings_have_finite_and_small_gradients(kind, dead, one_batch):
    batch, output = one_batch()
    leaf = output.embedding.detach().clone()
    rows = {"all": slice(None), "first view": slice(0, 6), "one row": slice(2, 3)}[dead]
    leaf[rows] = -leaf[rows].abs()
    leaf.requires_grad_()
    # The embedding is the output of a ReLU, whose units may all be zero.
    loss = term(kind=kind)(output._replace(embedding=leaf.relu()), batch)
    loss.backward()
    assert loss.isfinite()
    assert leaf.grad.isfinite().all()
    assert leaf.grad.abs().max() < 10


@pytest.mark.parametrize("kind", ["siamese", "nt_xent"])
def test_half_precision_embeddings_are_compared_in_single(kind, one_batch):
    batch, output = one_batch()
    half = output._replace(embedding=output.embedding.to(torch.bfloat16))
    loss = term(kind=kind)(half, batch)
    assert loss.dtype == torch.float32
    single = output._replace(embedding=half.embedding.float())
    torch.testing.assert_close(loss, term(kind=kind)(single, batch))


@pytest.mark.parametrize("kind", ["siamese", "nt_xent"])
def test_minimising_it_brings_the_two_views_together(kind, one_batch):
    batch, output = one_batch(labels=[0, 1, 2, 3, 0, 1])
    leaf = output.embedding.detach().clone().requires_grad_()
    optimizer = torch.optim.SGD([leaf], 1.0)

    def distances():
        first, second = halves(output._replace(embedding=leaf))
        return sum(distance(a, b) for a, b in zip(first, second, strict=True))

    before = distances()
    for _ in range(20):
        optimizer.zero_grad()
        term(kind=kind)(output._replace(embedding=leaf), batch).backward()
        optimizer.step()
    assert distances() < 0.7 * before
