"""FGSM and PGD training: the images are those of an attack from a random start."""

from dataclasses import replace

import pytest
import torch

from gratis.adversary.fgsm_rs import FGSMRS, FGSMRSSettings
from gratis.adversary.n_fgsm import NFGSM, NFGSMSettings
from gratis.adversary.pgd import PGDAT, PGDSettings
from gratis.attacks import AttackSettings, run_pgd


def test_fgsm_without_noise_is_fgsm(model, batch_of):
    batch = batch_of(6, views=2)
    adversary = NFGSM(epsilon=0.05, noise=0)
    images = adversary.perturb(model, batch, 0.0)
    fgsm = AttackSettings.fgsm(0.05).model_copy(update={"loss": "plain_cross_entropy"})
    expected = run_pgd(model, batch.views, batch.labels.repeat(2), fgsm)
    assert torch.equal(images, expected)


def test_n_fgsm_exceeds_epsilon_and_fgsm_rs_does_not(model, batch_of):
    batch = batch_of(8)
    images = batch.images * 0.4 + 0.3  # far from 0 and 1
    batch = replace(batch, images=images, views=images)
    reach = {}
    for kind in (NFGSM, FGSMRS):
        images = kind(epsilon=0.05).perturb(model, batch, 0.0)
        reach[kind] = float((images - batch.views).abs().max())
    assert 0.13 < reach[NFGSM] <= 0.15 + 1e-6
    assert reach[FGSMRS] == pytest.approx(0.05, abs=1e-6)


def test_pgd_starts_at_random(model, batch_of):
    batch = batch_of(6)
    start_only = PGDAT(epsilon=0.05, steps=1, step_size=0)
    first, second = (start_only.perturb(model, batch, 0.0) for _ in range(2))
    assert not torch.equal(first, second)
    assert (first - batch.views).abs().max() > 0.045


@pytest.mark.parametrize("settings", [NFGSMSettings(), FGSMRSSettings(), PGDSettings(steps=2)])
def test_the_attack_sees_batch_statistics_not_running_ones(settings, model, batch_of):
    batch = batch_of(8)
    torch.nn.init.constant_(model[1].running_var, 1e6)  # would hide every gradient
    other = settings.build(0).perturb(model, batch, 0.0)
    model[1].reset_running_stats()
    assert torch.equal(settings.build(0).perturb(model, batch, 0.0), other)


@pytest.mark.parametrize("settings", [NFGSMSettings(), FGSMRSSettings(), PGDSettings(steps=2)])
def test_it_works_under_no_grad(settings, model, batch_of):
    batch = batch_of(4)
    expected = settings.build(0).perturb(model, batch, 0.0)
    with torch.no_grad():
        assert torch.equal(settings.build(0).perturb(model, batch, 0.0), expected)
    assert not expected.requires_grad
