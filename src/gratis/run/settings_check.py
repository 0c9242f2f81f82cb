"""Whether results were measured with the settings that the recipe beside them has."""

import json
from pathlib import Path

from gratis.data import DataSettings
from gratis.errors import file_error
from gratis.evaluation import EvaluateSettings
from gratis.recipe import Recipe
from gratis.results import Results
from gratis.settings import Settings, validate
from gratis.training.identity import RunIdentity, differences

# Where the data lies on a machine does not change what it is.
_PLACES = {"root", "class_names"}


class _Measured(Settings):
    """What decides a measurement of given weights."""

    evaluate: EvaluateSettings
    seed: int
    data: DataSettings

    def flat(self) -> dict[str, str]:
        """Return every value as JSON by its dotted path."""
        content = self.model_dump(mode="json", exclude={"data": _PLACES})
        return {"seed": json.dumps(content["seed"])} | {
            f"{section}.{key}": json.dumps(value)
            for section in ("evaluate", "data")
            for key, value in content[section].items()
        }


def refuse_other_settings(folder: Path, recipe: Recipe, results: Results, remedy: str) -> None:
    """Refuse results that were measured with other settings than those of the recipe."""
    path = folder / "results.json"
    resolved = results.resolved
    found = {key: resolved[key] for key in _Measured.model_fields if key in resolved}
    measured = validate(_Measured, found, f"{path}: resolved").flat()
    of_recipe = _Measured(evaluate=recipe.evaluate, seed=recipe.seed, data=recipe.data).flat()
    stated = _stated(results)
    changed = differences(measured, of_recipe) or differences(
        stated, {key: of_recipe[key] for key in stated}
    )
    if changed:
        problem = f"was measured with other settings than recipe.yaml has ({changed})"
        raise file_error(path, problem, remedy)


def _stated(results: Results) -> RunIdentity:
    """Return the settings that results state outside their recipe, where cards read them."""
    found = {
        "seed": results.seed,
        "evaluate.suite": results.suite,
        "evaluate.epsilon": results.epsilon,
        "evaluate.pgd_steps": results.pgd_steps,
    }
    return {key: json.dumps(value) for key, value in found.items()}
