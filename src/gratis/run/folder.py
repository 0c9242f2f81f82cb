"""The folder of one run and the files in it."""

from pathlib import Path

from gratis.data.info import DataInfo
from gratis.digests import file_digest
from gratis.errors import GratisError, file_error
from gratis.files import make_folder, read_json, write_json, write_text
from gratis.recipe import Recipe, read_recipe
from gratis.results import Results, sample_images
from gratis.training.identity import differences
from gratis.validation_sets.manifest import MANIFEST


class RunFolder:
    """The folder of a run: ``recipe.yaml``, ``data.json``, ``metrics.jsonl``, and so on.

    Accepted wherever a path is (:class:`os.PathLike`).
    """

    def __init__(self, path: Path) -> None:
        """Name the files; nothing is touched yet."""
        self.path = path
        self.recipe_file = path / "recipe.yaml"
        self.data_file = path / "data.json"
        self.checkpoint = path / "checkpoint.safetensors"
        self.results_file = path / "results.json"
        self.correct = path / "correct.safetensors"
        self.geometric = path / "geometric"
        self.evaluation = path / "evaluation"
        self.sample_images = self.evaluation / sample_images.FILE
        self.examples = path / "examples.safetensors"
        self._sets_file = path / "sets.json"

    def check(self, recipe: Recipe) -> None:
        """Refuse to mix runs, before any work.

        Raises:
            GratisError: the folder holds a run of another recipe.
        """
        if not self.recipe_file.exists():
            return
        started = read_recipe(self.recipe_file).weights_identity()
        if changed := differences(started, recipe.weights_identity()):
            raise file_error(
                self.path,
                f"holds a run of another recipe or other settings ({changed})",
                "choose another folder with --out, or delete this one",
            )

    def claim(self, recipe: Recipe, data: DataInfo, sets: Path | None) -> None:
        """Make this the folder of ``recipe``, trained on ``data``, to be measured on ``sets``.

        Raises:
            GratisError: the folder cannot be written.
        """
        make_folder(self.path)
        write_text(self.recipe_file, recipe.to_yaml())
        data.write(self.data_file)
        if sets is not None:
            self.note_sets(sets)

    def note_sets(self, sets: Path) -> None:
        """Remember that the run is measured on ``sets``.

        Raises:
            GratisError: the note cannot be written.
        """
        if self._noted("sets") != str(sets.absolute()):
            write_json(self._sets_file, {"sets": str(sets.absolute())})

    def note_measured(self, sets: Path) -> None:
        """Remember that the results are those on ``sets`` as they are now.

        Raises:
            GratisError: the note cannot be written.
        """
        note = {"sets": str(sets.absolute()), "measured": file_digest(sets / MANIFEST)}
        write_json(self._sets_file, note)

    def measured_on(self, sets: Path) -> bool:
        """Return whether the results are those on ``sets`` as they are now.

        Raises:
            GratisError: the note of it is damaged.
        """
        manifest = sets / MANIFEST
        return manifest.is_file() and self._noted("measured") == file_digest(manifest)

    def sets(self) -> Path | None:
        """Return the folder of perturbed sets that the run is measured on, if it has one.

        Raises:
            GratisError: the note of it is damaged, or the sets are gone.
        """
        noted = self._noted("sets")
        if noted is None:
            return None
        if not Path(noted).is_dir():
            raise file_error(
                Path(noted), "the run's perturbed sets are gone", "name others with --sets"
            )
        return Path(noted)

    def _noted(self, key: str) -> str | None:
        if not self._sets_file.exists():
            return None
        note = read_json(self._sets_file)
        if not isinstance(note, dict) or not all(isinstance(v, str) for v in note.values()):
            raise file_error(self._sets_file, "is damaged", "delete it")
        return note.get(key)

    def recipe(self) -> Recipe:
        """Return the run's recipe.

        Raises:
            GratisError: this is no run folder.
        """
        if not self.recipe_file.is_file():
            raise file_error(
                self.path,
                "is not a run folder (it has no recipe.yaml)",
                "for another model name an ONNX file, package.module:function, or a timm model "
                "with --weights",
            )
        return read_recipe(self.recipe_file)

    def data(self) -> DataInfo:
        """Return what the run's data was.

        Raises:
            GratisError: the file is missing or damaged.
        """
        return DataInfo.read(self.data_file)

    def occupied(self) -> GratisError:
        """Return the error for results of something else that would go into this run's folder."""
        return file_error(self.path, "is the folder of a run", "choose another with --out")

    def __fspath__(self) -> str:
        """Return the path, as :class:`os.PathLike` requires."""
        return str(self.path)

    def __repr__(self) -> str:
        """Return how the run is named."""
        return f"RunFolder({str(self.path)!r})"

    def results(self) -> Results | None:
        """Return the run's results, or ``None`` where it has none yet.

        Raises:
            GratisError: the file does not follow the schema.
        """
        return Results.read(self.results_file) if self.results_file.exists() else None
