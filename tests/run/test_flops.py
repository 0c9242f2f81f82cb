"""The arithmetic of training, against torch's counter and by hand."""

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from gratis.model import Classifier
from gratis.recipe import resolve
from gratis.run.flops import training_flops

SIZE, CLASSES = 8, 10


def flops(row, *overrides, passes=1.0):
    return training_flops(resolve(row, "digits", overrides), SIZE, CLASSES, passes)


def by_torch(recipe, needs_images):
    """Count one image forward and backward with torch's own counter."""
    model = Classifier(recipe.model, CLASSES).train()
    images = torch.rand(2, 3, SIZE, SIZE, requires_grad=needs_images)
    with FlopCounterMode(display=False) as counter:
        model(images).logits.sum().backward()
    return counter.get_total_flops() / 2


def test_natural_and_free_training_agree_with_torchs_counter():
    recipe = resolve("free", "digits")
    natural, free = by_torch(recipe, False), by_torch(recipe, True)
    assert flops("augmented") == natural
    assert flops("free") == free > natural
    assert flops("free", "adversary.free.gamma=0.25") == pytest.approx(
        natural + (free - natural) / 4
    )
    assert flops("contrastive-free") == free  # two views are two passes


def test_passes_multiply():
    assert flops("free", passes=1000.0) == pytest.approx(1000 * flops("free"))


def test_attack_steps_need_no_gradient_of_the_weights():
    recipe = resolve("free", "digits")
    model = Classifier(recipe.model, CLASSES).train().requires_grad_(False)
    images = torch.rand(2, 3, SIZE, SIZE, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        functional.cross_entropy(model(images).logits, torch.tensor([0, 1])).backward()
    step = counter.get_total_flops() / 2
    assert flops("n-fgsm") == pytest.approx((step + flops("augmented")) / 2)
    assert flops("pgd") == pytest.approx((3 * step + flops("augmented")) / 4)


def test_a_frozen_backbone_has_no_backward_pass():
    assert flops("resnet18-frozen") < 0.4 * flops("resnet18")


def test_the_denoiser_is_counted_in_arithmetic_as_in_passes():
    without, whole = flops("contrastive-free"), flops("contrastive-autoencoder")
    assert whole == pytest.approx(without, rel=0.05)


def test_a_cached_delta_costs_as_much_as_a_free_one():
    assert flops("free", "adversary=cached") == flops("free")


def test_counting_leaves_the_random_state_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    flops("free")
    assert torch.equal(torch.rand(3), expected)
