"""All cases of bad input."""

import bad_commands
import bad_data
import bad_models
import bad_recipes
import bad_runs

CASES = [
    *bad_recipes.CASES,
    *bad_models.CASES,
    *bad_runs.CASES,
    *bad_data.CASES,
    *bad_commands.CASES,
]
