"""How near training comes to the bare arithmetic, and what its parts cost.

Ten classes of Tiny ImageNet, from the middle of the schedules.

- Training, all included, beside the bare loop: forward, backward and optimizer step of the same
  model on one batch that is already there, with the input gradient where the adversary needs it.
  Both compute in one process, so that the memory allocator is the same.
- A step beside another: two views beside one, a denoiser beside none.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.base import Conditions, Contest, Side, at_least, at_most, ratio
from benchmarks.steps import MODELS, images_of, lasting, recipe_of, trainer_of
from gratis.run.evaluation import load_once
from gratis.run.timing import bare_loop

Part = tuple[str, str, tuple[str, ...]]
# What is compared with the bare loop: a word for it, and the recipe.
ALONE = {"natural": "augmented", "free": "free", "scheduled": "contrastive-scheduled"}
DENOISER = ("model.denoiser={width: 8}", "objective.reconstruction={weight: 1}")
# What is compared with what: a word for it, and the names, recipes and changes of both.
PAIRS: dict[str, tuple[Part, Part]] = {
    "views": (("two views", "contrastive-high", ()), ("one view", "augmented", ())),
    "denoiser": (
        ("a denoiser", "contrastive-high", DENOISER),
        ("no denoiser", "contrastive-high", ()),
    ),
}
BOUNDS = {"views": 2.05, "denoiser": 1.2}


def beside_bare(recipe: str, model: str, word: str) -> Contest:
    """Return the contest of a recipe's training and its bare loop."""

    @contextmanager
    def opened(conditions: Conditions) -> Iterator[list[Side]]:
        settings = recipe_of(recipe, MODELS[model], conditions)
        trainer = trainer_of(settings, load_once(settings.data))
        yield [
            lasting("training", trainer.step, conditions.seconds),
            lasting("bare loop", bare_loop(trainer), conditions.seconds),
        ]

    share = ratio("bare loop", "training", at_least(0.95), "passes a second, training / bare loop")
    return Contest(
        "training", f"{word}-{model}", "seconds a pass", opened, [share], lambda turn: 2 * turn
    )


def beside_another(word: str, model: str) -> Contest:
    """Return the contest of a step with something and one without."""

    @contextmanager
    def opened(conditions: Conditions) -> Iterator[list[Side]]:
        sides = []
        for name, recipe, changes in PAIRS[word]:
            settings = recipe_of(recipe, [*MODELS[model], *changes], conditions)
            trainer = trainer_of(settings, load_once(settings.data))
            sides.append(lasting(name, images_of(trainer), conditions.seconds))
        yield sides

    (more, _, _), (less, _, _) = PAIRS[word]
    cost = ratio(more, less, at_most(BOUNDS[word]))
    return Contest(
        "training", f"{word}-{model}", "seconds an image", opened, [cost], lambda turn: 2 * turn
    )


CONTESTS = [
    contest
    for model in MODELS
    for contest in (
        *(beside_bare(recipe, model, word) for word, recipe in ALONE.items()),
        *(beside_another(word, model) for word in PAIRS),
    )
]
