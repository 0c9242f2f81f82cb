"""From the variants of a study to recipes."""

from collections.abc import Mapping, Sequence
from typing import Any

from gratis.digests import digest
from gratis.recipe import Recipe, resolve
from gratis.schedule import Schedule
from gratis.settings import override
from gratis.study.settings import Study, Variant

# As a value in a study: the greatest epsilon that the study's recipe trains at.
_EPSILON = "epsilon"


def recipes_of(study: Study, profile: str, overrides: Sequence[str] = ()) -> dict[str, Recipe]:
    """Return the recipe of every variant, resized by a profile."""
    before = pretraining_of(study, profile, overrides)
    return {
        name: named(
            _recipe(study, variant, profile, overrides),
            before.name if before and variant.pretrained else "",
        )
        for name, variant in study.variants.items()
    }


def pretraining_of(study: Study, profile: str, overrides: Sequence[str] = ()) -> Recipe | None:
    """Return the recipe of the network that variants start from, or ``None``."""
    if study.pretrain is None:
        return None
    return named(_recipe(study, study.pretrain, profile, overrides))


def named(recipe: Recipe, start: str = "") -> Recipe:
    """Return the recipe with a name that tells it from every other one.

    Runs are in folders of that name, so that studies with a variant in common share its runs.
    ``start`` is the name of the recipe that it starts from.
    """
    # Validated again, so that a default of 1 and a given 1.0 are the same.
    content = recipe.model_copy(update={"seed": 0}).model_dump(mode="json", exclude_none=True)
    weights = Recipe.model_validate(content).weights_identity()
    key = digest([start, *(f"{name}={value}" for name, value in sorted(weights.items()))])
    return recipe.model_copy(update={"name": f"{recipe.name}-{key[:8]}"})


def _recipe(study: Study, variant: Variant, profile: str, overrides: Sequence[str]) -> Recipe:
    epsilon = _training_epsilon(resolve(study.recipe, profile, overrides))
    values = _with_epsilon(study.set | variant.set, epsilon)
    changes = [override(key, value) for key, value in values.items()]
    recipe = resolve(variant.recipe or study.recipe, profile, [*changes, *overrides])
    epochs = recipe.train.epochs * variant.epochs_factor
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": epochs})})


def _with_epsilon(value: Any, epsilon: float) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_epsilon(inner, epsilon) for key, inner in value.items()}
    return epsilon if value == _EPSILON else value


def _training_epsilon(recipe: Recipe) -> float:
    epsilon = getattr(recipe.adversary_settings, "epsilon", None)
    return max(epsilon.bounds()) if isinstance(epsilon, Schedule) else recipe.evaluate.epsilon
