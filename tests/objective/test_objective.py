"""Properties of every term, and of their weighted sum; a new term's file is tested too."""

import pytest
import torch

from gratis.objective import TERMS, Objective

each = pytest.mark.parametrize("name", TERMS)


def objective(**contents):
    return Objective({name: TERMS[name].model_validate(body) for name, body in contents.items()})


def clean_of(output):
    """Return the output for other views, as if unperturbed."""
    return output._replace(logits=output.logits.detach().roll(1, 1).requires_grad_())


def views_of(name):
    return TERMS[name]().build().views


@each
@pytest.mark.parametrize("n", [1, 2, 7])
def test_every_term_is_a_finite_scalar_with_finite_gradients(name, n, one_batch):
    batch, output = one_batch(n, views_of(name))
    loss = TERMS[name]().build()(output, batch, clean_of(output))
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert loss >= 0
    loss.backward()
    gradients = [part.grad for part in output if part.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


@each
def test_no_term_changes_the_batch(name, one_batch):
    batch, output = one_batch(4, views_of(name))
    views, labels = batch.views.clone(), batch.labels.clone()
    TERMS[name]().build()(output, batch, clean_of(output))
    assert torch.equal(batch.views, views)
    assert torch.equal(batch.labels, labels)


@each
def test_every_weight_may_be_scheduled(name, one_batch):
    batch, output = one_batch(4, views_of(name))
    clean = clean_of(output)
    plain = TERMS[name]().build()(output, batch, clean)
    weighted = objective(**{name: {"weight": {"linear": {"start": 0, "stop": 2}}}})
    for t, factor in ((0.0, 0), (0.25, 0.5), (1.0, 2)):
        torch.testing.assert_close(weighted(output, batch, t, clean)[name], factor * plain)


@each
def test_the_default_weight_is_one(name, one_batch):
    batch, output = one_batch(4, views_of(name))
    clean = clean_of(output)
    plain = TERMS[name]().build()(output, batch, clean)
    assert torch.equal(objective(**{name: {}})(output, batch, 0.3, clean)[name], plain)


def test_terms_keep_their_names_and_order(one_batch):
    batch, output = one_batch()
    terms = objective(contrastive={"weight": 0.1}, cross_entropy={}, reconstruction={})
    assert list(terms(output, batch, 0.0)) == ["contrastive", "cross_entropy", "reconstruction"]


def test_the_objective_needs_as_many_views_as_its_most_demanding_term():
    assert objective(cross_entropy={}).views == 1
    assert objective(cross_entropy={}, reconstruction={}).views == 1
    assert objective(cross_entropy={}, contrastive={}).views == 2


def test_the_objective_needs_clean_views_if_a_term_does():
    assert not objective(cross_entropy={}, contrastive={}).needs_clean
    assert objective(cross_entropy={}, trades={}).needs_clean
    assert objective(cross_entropy={"views": "clean"}).needs_clean
