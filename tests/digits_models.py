"""Small networks trained on digits (natural, robust, overfitted), each trained once a process."""

import functools

import torch
from torch import nn
from torch.nn import functional

from gratis.attacks import AttackSettings, attack, frozen
from gratis.data import DataSettings, load, to_float

EPSILON = 38 / 255
# Training with single steps of this size ends in catastrophic overfitting.
LARGE = 76 / 255
EPOCHS = 20


@functools.cache
def digits():
    return load(DataSettings(name="digits"))


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, 10),
    )


def train(how=None, rate=3e-3, see=lambda images: images, net=None):
    """Return a network trained on ``see(images)``, under an attack if one is given."""
    split = digits().train
    images, labels = see(to_float(split.images, "cpu")), torch.from_numpy(split.labels)
    net = net or network()
    optimizer = torch.optim.Adam(net.parameters())
    batches = [part for _ in range(EPOCHS) for part in torch.randperm(len(labels)).split(128)]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=len(batches))
    for rows in batches:
        seen = images[rows]
        if how is not None:
            with frozen(net):
                seen = attack(net, seen, labels[rows], how, 0, rows)
        optimizer.zero_grad()
        functional.cross_entropy(net(seen), labels[rows]).backward()
        optimizer.step()
        schedule.step()
    net.zero_grad()
    return net.eval()


@functools.cache
def natural():
    return train()


@functools.cache
def robust():
    return train(AttackSettings.pgd(EPSILON, steps=4))


@functools.cache
def overfitted():
    return train(AttackSettings.fgsm(LARGE), rate=1e-2)
