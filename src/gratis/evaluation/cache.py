"""What a task has found so far, kept on disk batch by batch: a killed evaluation goes on there.

A folder holds one safetensors file a batch, named after its task and a hash of all that decides
the verdicts. What was found under another model, data set, attack or seed has another name.
"""

import glob
import inspect
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import nn

from gratis.digests import digest, file_digest
from gratis.errors import file_error
from gratis.evaluation.evaluated_model import EvaluatedModel, Verdict
from gratis.evaluation.sanity_checks import run_checks
from gratis.evaluation.tasks import EvalTask
from gratis.files import read_json, replacing, write_json
from gratis.results import Check
from gratis.settings import validate
from gratis.validation_sets.manifest import split_hash, weights_hash

# To be raised whenever the same settings begin to find something else.
_FORMAT = 3


class Parts:
    """What one task has found about the images of a split, some of them or all."""

    def __init__(self, stem: Path | None, images: int) -> None:
        """Read the files that begin like ``stem``, about a split of so many images.

        Without a ``stem`` nothing is read, and nothing kept.

        Raises:
            GratisError: a file is damaged.
        """
        self._stem = stem
        self._files = 0
        self.known = np.zeros(images, dtype=np.bool_)
        self.correct = np.zeros(images, dtype=np.bool_)
        self.examples: dict[int, NDArray[Any]] = {}
        self.seconds = 0.0
        for path in _files(stem):
            self._merge(**self._read(path))
            # Not their count: one may have been deleted.
            self._files = int(path.stem.rpartition("-")[2]) + 1

    def add(self, index: NDArray[np.int64], verdict: Verdict, seconds: float) -> None:
        """Take in the verdict on the images at ``index``, and keep it.

        Raises:
            GratisError: the folder cannot be written.
        """
        found: dict[str, Any] = {
            "index": index,
            "correct": verdict.correct,
            "seconds": np.array([seconds]),
        }
        if verdict.examples is not None:
            found["examples"] = verdict.examples
        if self._stem is not None:
            path = self._stem.with_name(f"{self._stem.name}-{self._files:06d}.safetensors")
            # As bytes: the library's own writing reports a full disk as damage.
            with replacing(path) as temporary:
                temporary.write_bytes(save(found))
            self._files += 1
        self._merge(**found)

    def _merge(
        self,
        index: NDArray[np.int64],
        correct: NDArray[np.bool_],
        seconds: NDArray[np.float64],
        examples: NDArray[Any] | None = None,
    ) -> None:
        self.known[index] = True
        self.correct[index] = correct
        self.seconds += float(seconds[0])
        if examples is not None:
            self.examples |= dict(zip(index[~correct].tolist(), examples, strict=True))

    def _read(self, path: Path) -> dict[str, NDArray[Any]]:
        problem = "is not part of an evaluation"
        remedy = "delete this file and evaluate again"
        try:
            found = load_file(path)
            index, correct, seconds = found["index"], found["correct"], found["seconds"]
        except (OSError, SafetensorError, KeyError) as error:
            raise file_error(path, f"{problem} ({error})", remedy) from error
        fooled = np.count_nonzero(~correct) if correct.dtype == bool else -1
        fits = (
            index.dtype == np.int64
            and index.shape == correct.shape
            and bool(((index >= 0) & (index < len(self.known))).all())
            and seconds.shape == (1,)
            and len(found.get("examples", correct[~correct])) == fooled
        )
        if not fits or found.keys() - {"index", "correct", "seconds", "examples"}:
            raise file_error(path, problem, remedy)
        return found


class Evaluation:
    """The parts of one evaluated's evaluation, below ``folder``; ``None`` keeps nothing on disk."""

    def __init__(self, folder: Path | None, evaluated: EvaluatedModel) -> None:
        """Work out what decides every verdict, apart from the task."""
        self._folder, self._evaluated = folder, evaluated
        # Without a folder nothing is looked up, and a large model is not worth hashing.
        self._key = "" if folder is None else _key(evaluated)

    def parts(self, task: EvalTask) -> Parts:
        """Return what is known about a task.

        Raises:
            GratisError: a file is damaged.
        """
        return Parts(self._stem(task.name, task.key(self._evaluated)), len(self._evaluated.split))

    def checks(
        self, index: NDArray[np.int64], epsilon: float, batch_size: int
    ) -> tuple[Check, ...]:
        """Return the sanity checks on the images at ``index``, held only once.

        Raises:
            GratisError: what was kept of them is damaged, or the folder cannot be written.
        """
        # Held on the model itself: they ask what it does, not how fast.
        evaluated = replace(self._evaluated, attack_model=None)
        stem = self._stem("honesty", f"{epsilon!r} {index.tolist()}")
        if stem is None:
            return run_checks(evaluated, index, epsilon, batch_size)
        path = stem.with_suffix(".json")
        if not path.exists():
            found = run_checks(evaluated, index, epsilon, batch_size)
            write_json(path, [check.model_dump(mode="json") for check in found])
        return tuple(validate(Check, check, f"{path} (delete it)") for check in read_json(path))

    def _stem(self, name: str, decides: str) -> Path | None:
        """Return how the names of the files begin that such things decide."""
        if self._folder is None:
            return None
        key = digest([self._key, decides])[:16]
        return self._folder / f"{name} {key}".replace("/", "-").replace(" ", "-")


def _files(stem: Path | None) -> list[Path]:
    if stem is None:
        return []
    return sorted(stem.parent.glob(f"{glob.escape(stem.name)}-*.safetensors"))


def _key(evaluated: EvaluatedModel) -> str:
    return json.dumps(
        [
            _FORMAT,
            torch.__version__,
            evaluated.device.type,
            weights_hash(evaluated.model),
            str(evaluated.model),
            _code(evaluated.model),
            split_hash(evaluated.split),
            evaluated.seed,
            evaluated.kept,
        ]
    )


def _code(model: nn.Module) -> list[str]:
    """Return hashes of the source files of a model's parts: what they do, beside their weights."""
    files = set()
    for kind in {type(part) for part in model.modules()}:
        # What is typed at a prompt, or compiled, has no file.
        with suppress(TypeError):
            files.add(inspect.getsourcefile(kind))
    return sorted(file_digest(Path(file)) for file in files if file and Path(file).is_file())
