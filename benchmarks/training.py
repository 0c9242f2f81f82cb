"""The speed of training beside the bare arithmetic, and the cost of its options.

All comparisons train on ten classes of Tiny ImageNet, halfway through the schedules.

- Complete training beside the bare loop: forward, backward and optimizer step of the same model on
  one batch in memory, with the input gradient where the adversary needs it. Both run in one
  process and thus share the memory allocator.
- A step with an option beside a step without it: two views beside one, a denoiser beside none.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.base import Comparison, Conditions, Side, at_least, at_most, ratio
from benchmarks.steps import MODELS, for_seconds, images_of, recipe_of, trainer_of
from gratis.run.loading import load_once
from gratis.run.timing import bare_loop

# A label, a recipe and its overrides.
Variant = tuple[str, str, tuple[str, ...]]
# The recipes that are compared with the bare loop, by label.
WITH_BARE_LOOP = {"natural": "augmented", "free": "free", "scheduled": "contrastive-scheduled"}
DENOISER = ("model.denoiser={width: 8}", "objective.reconstruction={weight: 1}")
# The pairs of variants that are compared with each other, by label.
PAIRS: dict[str, tuple[Variant, Variant]] = {
    "views": (("two views", "contrastive-high", ()), ("one view", "augmented", ())),
    "denoiser": (
        ("a denoiser", "contrastive-high", DENOISER),
        ("no denoiser", "contrastive-high", ()),
    ),
}
BOUNDS = {"views": 2.05, "denoiser": 1.2}


def beside_bare(recipe: str, model: str, word: str) -> Comparison:
    """Return the comparison of a recipe's training with its bare loop."""

    @contextmanager
    def opened(conditions: Conditions) -> Iterator[list[Side]]:
        settings = recipe_of(recipe, MODELS[model], conditions)
        trainer = trainer_of(settings, load_once(settings.data))
        yield [
            for_seconds("training", trainer.step, conditions.seconds),
            for_seconds("bare loop", bare_loop(trainer), conditions.seconds),
        ]

    share = ratio("bare loop", "training", at_least(0.95), "passes a second, training / bare loop")
    return Comparison(
        "training", f"{word}-{model}", "seconds a pass", opened, [share], lambda turn: 2 * turn
    )


def beside_another(word: str, model: str) -> Comparison:
    """Return the comparison of a step with an option and a step without it."""

    @contextmanager
    def opened(conditions: Conditions) -> Iterator[list[Side]]:
        sides = []
        for name, recipe, changes in PAIRS[word]:
            settings = recipe_of(recipe, [*MODELS[model], *changes], conditions)
            trainer = trainer_of(settings, load_once(settings.data))
            sides.append(for_seconds(name, images_of(trainer), conditions.seconds))
        yield sides

    (more, _, _), (less, _, _) = PAIRS[word]
    cost = ratio(more, less, at_most(BOUNDS[word]))
    return Comparison(
        "training", f"{word}-{model}", "seconds an image", opened, [cost], lambda turn: 2 * turn
    )


COMPARISONS = [
    comparison
    for model in MODELS
    for comparison in (
        *(beside_bare(recipe, model, word) for word, recipe in WITH_BARE_LOOP.items()),
        *(beside_another(word, model) for word in PAIRS),
    )
]
