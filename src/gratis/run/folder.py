"""The folder of one run and the files in it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from gratis.data.info import DataInfo
from gratis.errors import GratisError, file_error
from gratis.files import make_folder, write_text
from gratis.json_files import read_json, write_json
from gratis.locks import locked
from gratis.model import Architecture
from gratis.ranks import is_first
from gratis.recipe import Recipe, read_recipe
from gratis.regular_files import refuse_link, require_text
from gratis.results import Frontier, Results, WeightsFile, frontier, sample_images
from gratis.run.sets_reference import SetsReference
from gratis.settings import override, validate
from gratis.training import checkpoint
from gratis.training.identity import differences
from gratis.trusted_code import is_code_trusted

# The weights of a shared model, and its list of files.
WEIGHTS, SHARED_MANIFEST = "model.safetensors", "gratis.json"


class RunFolder:
    """The folder of a run: ``recipe.yaml``, ``data.json``, ``metrics.jsonl``, and so on.

    Accepted wherever a path is (:class:`os.PathLike`).
    """

    def __init__(self, path: Path) -> None:
        """Name the files; nothing is touched yet."""
        require_text(path)
        self.path = path
        self.recipe_file = path / "recipe.yaml"
        self.data_file = path / "data.json"
        self.checkpoint = path / "checkpoint.safetensors"
        self.shared = (path / SHARED_MANIFEST).is_file()
        if self.shared:
            # A shared model has the weights of its last checkpoint, and nothing to resume from.
            self.checkpoint = path / WEIGHTS
        self.results_file = path / "results.json"
        self.correct = path / "correct.safetensors"
        self.geometric = path / "geometric"
        self.evaluation = path / "evaluation"
        self.evaluations = path / "evaluations"
        self.sample_images = self.evaluation / sample_images.FILE
        self.examples = path / "examples.safetensors"
        # Of a hardened run: the weights it starts from, its natural model, the frontier between
        # the two, and the weights of the chosen model.
        self.start = path / "start.safetensors"
        self.natural = path / "natural"
        self.frontier_file = path / frontier.FILE
        self.frontier_cache = path / "frontier"
        self.chosen = path / "chosen.safetensors"
        self.sets_note = SetsReference(path)
        self._start_file = path / "start.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock while the block runs; the first rank holds it for all.

        Raises:
            GratisError: another process holds it, the folder cannot be written, or a folder in it
                is a symbolic link, through which other files would be written.
        """
        refuse_link(
            *(self.evaluation, self.geometric, self.evaluations),
            *(self.natural, self.frontier_cache),
        )
        with locked(self.path) if is_first() else nullcontext():
            yield

    def check(self, recipe: Recipe) -> None:
        """Refuse to mix runs, before any work."""
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
        """Make this the folder of ``recipe``, trained on ``data``, to be measured on ``sets``."""
        make_folder(self.path)
        write_text(self.recipe_file, recipe.to_yaml())
        data.write(self.data_file)
        if sets is not None:
            self.sets_note.write(sets)

    def note_start_weights(self, start: WeightsFile) -> None:
        """Remember what the training of the run starts from."""
        write_json(self._start_file, start.model_dump(mode="json"))

    def start_weights(self) -> WeightsFile | None:
        """Return what the training of the run started from; ``None`` for random weights."""
        if not self._start_file.exists():
            return None
        return validate(WeightsFile, read_json(self._start_file), f"{self._start_file} (delete it)")

    def recipe(self) -> Recipe:
        """Return the run's recipe."""
        if not self.recipe_file.is_file():
            raise file_error(
                self.path,
                "is not a run folder (it has no recipe.yaml)",
                "for another model name an ONNX file, package.module:function, or a timm model "
                "with --weights",
            )
        return read_recipe(self.recipe_file)

    def refuse_untrusted_code(self) -> None:
        """Refuse a run whose recipe names code to import, unless the user trusts it.

        Raises:
            GratisError: its network is that of a function, or this is no run folder.
        """
        backbone = self.recipe().model.backbone
        if Architecture(backbone).origin == "function" and not is_code_trusted():
            problem = f"names code to import ({backbone})"
            raise file_error(self.recipe_file, problem, "use --trust-code if you trust it")

    def frontier(self) -> Frontier:
        """Return the frontier of a hardened run."""
        return Frontier.read(self.frontier_file)

    def data(self) -> DataInfo:
        """Return what the run's data was."""
        return DataInfo.read(self.data_file)

    def measured_only(self, data: DataInfo) -> bool:
        """Return whether the run on ``data`` has results, and its checkpoint was deleted.

        Raises:
            GratisError: a file is damaged.
        """
        if checkpoint.exists(self.checkpoint) or self.results() is None:
            return False
        return self.data() == data

    def image_settings(self) -> list[str]:
        """Return how the run's images are read, as overrides for the settings of other data."""
        data = self.recipe().data
        values = {"size": self.data().size, "resize": data.resize, "white_level": data.white_level}
        return [override(f"data.{key}", v) for key, v in values.items() if v is not None]

    def evaluation_folder(self, key: str) -> Path:
        """Return the folder for an evaluation with other settings.

        That of a shared model is below the current folder, because the model is in a cache.
        """
        parent = self.evaluations
        if self.shared:
            manifest = read_json(self.path / SHARED_MANIFEST)
            name = manifest.get("name") if isinstance(manifest, dict) else None
            parent = Path("evaluations", re.sub(r"[^\w-]+", "-", str(name)))
        refuse_link(parent, parent / key)
        return parent / key

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
        """Return the run's results, or ``None`` where it has none yet."""
        return Results.read(self.results_file) if self.results_file.exists() else None
