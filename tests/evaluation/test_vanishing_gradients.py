"""Logits that were cut off are found, and sound logits of unusual shapes are not."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import digits_models
from gratis.attacks import frozen, is_correct
from gratis.evaluation.evaluated_model import EvaluatedModel
from gratis.evaluation.vanishing_gradients import vanished_gradients


class After(nn.Module):
    """A network with a function of its logits."""

    def __init__(self, change):
        super().__init__()
        self.net, self.change = digits_models.natural(), change

    def forward(self, images):
        return self.change(self.net(images))


def share(model, labels=None):
    split = digits_models.digits().validation
    evaluated = EvaluatedModel(model, split, {}, 0)
    with frozen(model), torch.no_grad():
        batch = evaluated.batch_at(np.arange(150))
        if labels is not None:
            batch = batch._replace(labels=labels(batch.labels))
        right = is_correct(model(batch.images), batch.labels).nonzero().squeeze(1)
        return {
            name: flags.mean()
            for name, flags in vanished_gradients(evaluated, batch.take(right)).items()
        }


CUT_OFF = {
    "both sides": lambda logits: logits.clamp(-5, 5),
    "above": lambda logits: logits.clamp(max=3),
    "below": lambda logits: logits.clamp(min=-1),
    "relu": functional.relu,
    "relu6": functional.relu6,
    "hardtanh of a scale": lambda logits: 8 * functional.hardtanh(logits / 8),
    "detached where large": lambda logits: torch.where(logits > 4, logits.detach(), logits),
}

SOUND = {
    "plain": lambda logits: logits,
    "log probabilities": lambda logits: functional.log_softmax(5 * logits, 1),
    "a reference class": lambda logits: logits - logits[:, :1],
    "soft limit": lambda logits: 30 * torch.tanh(logits / 30),
    "tiny": lambda logits: 1e-6 * logits,
    "half": lambda logits: logits.half(),
    "a constant": lambda logits: torch.cat([logits, torch.full_like(logits[:, :1], -50.0)], 1),
}


@pytest.mark.parametrize("change", CUT_OFF)
def test_logits_that_were_cut_off_are_found(change):
    assert share(After(CUT_OFF[change]))["logit"] > 0.1


@pytest.mark.parametrize("change", SOUND)
def test_sound_logits_have_gradients(change):
    assert share(After(SOUND[change]))["logit"] == 0


def test_a_model_of_two_classes_may_have_one_logit():
    def binary(logits):
        score = logits[:, 5:].amax(1) - logits[:, :5].amax(1)
        return torch.stack([torch.zeros_like(score), score], 1)

    found = share(After(binary), labels=lambda labels: (labels >= 5).long())
    assert found == {"cross entropy": 0, "margin": 0, "logit": 0}


def test_no_image_has_no_gradient():
    evaluated = EvaluatedModel(digits_models.natural(), digits_models.digits().validation, {}, 0)
    empty = evaluated.batch_at(np.zeros(0, dtype=np.int64))
    assert {len(flags) for flags in vanished_gradients(evaluated, empty).values()} == {0}
