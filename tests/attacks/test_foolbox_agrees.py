"""foolbox, another implementation, finds the same adversarial images."""

import warnings

import pytest
import torch

from gratis.attacks import AttackSettings, attack

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import foolbox
    except ImportError as error:
        # foolbox runs git to find its version, and fails without it.
        pytest.skip(f"foolbox does not import: {error}", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore")

L2 = {"norm": "l2", "epsilon": 0.7, "random_start": False}
CASES = {
    "fgsm": (AttackSettings.fgsm(0.05), lambda f: f.attacks.LinfFastGradientAttack()),
    "bim": (
        AttackSettings.bim(0.05, steps=7),
        lambda f: f.attacks.LinfBasicIterativeAttack(
            abs_stepsize=0.05 * 2.5 / 7, steps=7, random_start=False
        ),
    ),
    "pgd": (
        AttackSettings(epsilon=0.05, steps=12, step_size=0.01, random_start=False),
        lambda f: f.attacks.LinfPGD(abs_stepsize=0.01, steps=12, random_start=False),
    ),
    "l2 fast gradient": (
        AttackSettings(steps=1, **L2),
        lambda f: f.attacks.L2FastGradientAttack(),
    ),
    "l2 pgd": (
        AttackSettings(steps=8, step_size=0.2, **L2),
        lambda f: f.attacks.L2PGD(abs_stepsize=0.2, steps=8, random_start=False),
    ),
}


@pytest.mark.parametrize(("how", "foolbox_attack"), CASES.values(), ids=CASES)
def test_same_adversarial_images(toy, how, foolbox_attack):
    net, images, labels = toy
    theirs = foolbox_attack(foolbox).run(
        foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu"), images, labels, epsilon=how.epsilon
    )
    ours = attack(net, images, labels, how, 0, torch.arange(len(images)))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert (ours - images).abs().max() > 0.04
