"""The TRADES term against the definition of the divergence, and in a training step."""

import pytest
import torch

from gratis.objective.cross_entropy import CrossEntropySettings
from gratis.objective.trades import TradesSettings


def test_it_is_the_mean_divergence_of_the_perturbed_from_the_clean_predictions(one_batch):
    batch, output = one_batch(5, 1)
    clean = output._replace(logits=torch.randn(5, 4, generator=torch.Generator().manual_seed(1)))
    p, q = clean.logits.double().softmax(1), output.logits.double().softmax(1)
    naive = sum(
        p[i, k] * (p[i, k].log() - q[i, k].log()) for i in range(5) for k in range(4)
    ) / len(p)
    found = TradesSettings().build()(output, batch, clean)
    torch.testing.assert_close(found, naive.float())


def test_it_is_zero_without_a_gradient_where_both_are_equal(one_batch):
    batch, output = one_batch(5, 1)
    loss = TradesSettings().build()(output, batch, output._replace(logits=output.logits.detach()))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert output.logits.grad.abs().max() < 1e-6


def test_gradients_reach_both_predictions(one_batch):
    batch, output = one_batch(5, 1)
    clean = output._replace(logits=output.logits.detach().roll(1, 1).requires_grad_())
    TradesSettings().build()(output, batch, clean).backward()
    assert output.logits.grad.abs().max() > 0 and clean.logits.grad.abs().max() > 0


def test_cross_entropy_of_clean_views_ignores_the_perturbed_ones(one_batch):
    batch, output = one_batch(5, 1)
    clean = output._replace(logits=output.logits.detach().roll(1, 1))
    plain = CrossEntropySettings().build()(clean, batch)
    assert torch.equal(CrossEntropySettings(views="clean").build()(output, batch, clean), plain)
