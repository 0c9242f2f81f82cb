"""The folder of one run and the files in it."""

from pathlib import Path

from gratis.errors import file_error
from gratis.files import make_folder, write_text
from gratis.recipe import Recipe, read_recipe
from gratis.results import Results


class RunFolder:
    """``recipe.yaml``, ``metrics.jsonl``, ``checkpoint.safetensors`` and ``results.json``."""

    def __init__(self, path: Path) -> None:
        """Name the files; nothing is touched yet."""
        self.path = path
        self.recipe_file = path / "recipe.yaml"
        self.checkpoint = path / "checkpoint.safetensors"
        self.results_file = path / "results.json"
        self.correct = path / "correct.safetensors"
        self.geometric = path / "geometric"

    def claim(self, recipe: Recipe) -> None:
        """Make this the folder of ``recipe``; the same recipe may come again.

        Raises:
            GratisError: the folder cannot be written, or holds a run of another recipe.
        """
        earlier = read_recipe(self.recipe_file) if self.recipe_file.exists() else recipe
        if not earlier.same_numbers(recipe):
            raise file_error(
                self.path,
                "holds a run of another recipe or other settings",
                "choose another folder with --out, or delete this one",
            )
        make_folder(self.path)
        write_text(self.recipe_file, recipe.to_yaml())

    def recipe(self) -> Recipe:
        """Return the run's recipe.

        Raises:
            GratisError: this is no run folder.
        """
        if not self.recipe_file.is_file():
            raise file_error(self.path, "is not a run folder (it has no recipe.yaml)")
        return read_recipe(self.recipe_file)

    def results(self) -> Results | None:
        """Return the run's results, or ``None`` where it has none yet.

        Raises:
            GratisError: the file does not follow the schema.
        """
        return Results.read(self.results_file) if self.results_file.exists() else None
