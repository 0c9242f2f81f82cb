import numpy as np
import pytest
from lightning_fabric import Fabric

from gratis.data import Dataset, Split
from gratis.recipe import parse_recipe
from gratis.run import launch
from gratis.run.build import build_trainer

AUGMENT = {"flip": 0.0, "rotation": 10}
SMALL = {
    "stem": "small",
    "channels": [8, 8, 16, 16],
    "head": {"width": 16, "layers": 2, "dropout": 0.2},
}


@pytest.fixture(autouse=True, scope="module")
def on_the_cpu():
    """Train on the CPU, where results are equal bit for bit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "Fabric", lambda **own: Fabric(**own | {"accelerator": "cpu"}))
        yield


@pytest.fixture(scope="session")
def toy():
    """61 images of 8x8 pixels in four classes; batches of at most 8 have two sizes."""
    random = np.random.default_rng(0)
    labels = np.arange(61, dtype=np.int64) % 4
    patterns = random.integers(0, 256, (4, 8, 8, 3))
    noise = random.integers(-150, 150, (61, 8, 8, 3))
    images = np.clip(patterns[labels] + noise, 0, 255).astype(np.uint8)
    split = Split(images, labels)
    return Dataset("toy", split, split, ("a", "b", "c", "d"), "toy", flippable=False)


@pytest.fixture(scope="session")
def recipe_of():
    """Make a recipe for the small data: ``recipe_of(adversary, objective, denoiser, **train)``."""

    def make(adversary="natural", objective="cross_entropy", denoiser=False, augment=True, **train):
        return parse_recipe(
            {
                "name": "small",
                "title": "small",
                "adversary": adversary,
                "objective": objective,
                "model": SMALL | ({"denoiser": {"width": 4}} if denoiser else {}),
                "augment": AUGMENT if augment else None,
                "train": {
                    "epochs": 4,
                    "batch_size": 8,
                    "learning_rate": 0.02,
                    "held_out_per_class": 0,
                    "log_every_steps": 3,
                }
                | train,
            },
            "recipe",
        )

    return make


@pytest.fixture(scope="session")
def trainer_of(recipe_of, toy):
    """Make the trainer of such a recipe, without a monitor."""

    def make(*arguments, **named):
        return build_trainer(recipe_of(*arguments, **named), toy)[0]

    return make


class FakeMonitor:
    """Returns the accuracies of ``found``, the last of them for ever."""

    images, guessing = 50, 0.1

    def __init__(self, *found):
        self.found = list(found)

    def __call__(self, model):
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]


@pytest.fixture
def fake_monitor():
    return FakeMonitor
