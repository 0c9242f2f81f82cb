import math

import pytest

from gratis.objective.cross_entropy import CrossEntropySettings


def naive(logits, labels, smoothing):
    """Return the mean of -sum(target * log(softmax)), the target smoothed over all classes."""
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        normaliser = math.log(sum(math.exp(x) for x in row))
        for number, x in enumerate(row):
            target = smoothing / len(row) + (1 - smoothing) * (number == label)
            total -= target * (x - normaliser)
    return total / len(labels)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("n", [1, 6])
def test_agrees_with_the_formula_over_all_views(smoothing, views, n, one_batch):
    batch, output = one_batch(n, views)
    labels = batch.labels.tolist() * views  # view k of image i is row k * n + i
    loss = CrossEntropySettings(smoothing=smoothing).build()(output, batch)
    expected = naive(output.logits.tolist(), labels, smoothing)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
