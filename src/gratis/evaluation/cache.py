"""The outcomes of an evaluation on disk, batch by batch, so that an interrupted one can continue.

A folder holds one safetensors file a batch. Its name has the task and a digest of everything that
determines the outcomes: another model, data set, attack or seed gives another name.
"""

import glob
import json
import logging
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from gratis.digests import digest
from gratis.errors import file_error, printable
from gratis.evaluation.evaluated_model import EvaluatedModel, Outcome
from gratis.evaluation.model_state import model_state
from gratis.evaluation.source_files import package_versions
from gratis.evaluation.tasks import EvalTask
from gratis.files import atomic_file
from gratis.json_files import read_json, write_json
from gratis.ranks import is_first, of_first
from gratis.results import Check
from gratis.results.arrays import load_arrays
from gratis.settings import validate
from gratis.validation_sets.manifest import split_hash

logger = logging.getLogger(__name__)

# To be raised whenever the same settings lead to other outcomes.
_FORMAT = 6
# The same for the sanity checks.
_CHECKS_FORMAT = 2
# What computes the outcomes, besides gratis and what the model itself is made of.
_PACKAGES = (
    *("torch", "torchvision", "timm", "onnxruntime"),
    *("kornia", "pyautoattack", "numpy", "scipy", "pillow"),
)


class TaskCache:
    """The outcomes of one task on a split.

    Attributes:
        known: (n,) whether there is a outcome on each image of the split.
        correct: (n,) whether the model classifies each known image correctly.
        examples: the stored adversarial examples by index.
        seconds: how long the outcomes took.
    """

    def __init__(self, stem: Path | None, images: int) -> None:
        """Read the files whose names start with ``stem``, for a split of ``images`` images.

        Without a ``stem`` nothing is read or written.
        """
        self._stem = stem
        self._files = 0
        self.known = np.zeros(images, dtype=np.bool_)
        self.correct = np.zeros(images, dtype=np.bool_)
        self.examples: dict[int, NDArray[Any]] = {}
        self.seconds = 0.0
        for path in _files(stem):
            self._merge(**self._read(path))
            # Not the number of files: one may have been deleted.
            self._files = _number(path) + 1

    def add(self, index: NDArray[np.int64], outcome: Outcome, seconds: float) -> None:
        """Add the outcome on the images at ``index``, also on disk."""
        found: dict[str, Any] = {
            "index": index,
            "correct": outcome.correct,
            "seconds": np.array([seconds]),
        }
        if outcome.examples is not None:
            found["examples"] = outcome.examples
        if self._stem is not None and is_first():
            path = self._stem.with_name(f"{self._stem.name}-{self._files:06d}.safetensors")
            # As bytes: safetensors reports a full disk as a damaged file.
            with atomic_file(path) as temporary:
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
        found = load_arrays(path, problem, remedy).arrays
        if not {"index", "correct", "seconds"} <= found.keys():
            raise file_error(path, problem, remedy)
        index, correct, seconds = found["index"], found["correct"], found["seconds"]
        fooled = int(np.count_nonzero(~correct)) if correct.dtype == bool else -1
        fits = (
            fooled >= 0
            and index.dtype == np.int64
            and index.ndim == 1
            and index.shape == correct.shape
            and bool(((index >= 0) & (index < len(self.known))).all())
            and seconds.shape == (1,)
            and seconds.dtype == np.float64
            and np.isfinite(seconds).all()
            and _are_examples(found.get("examples"), fooled)
        )
        if not fits or found.keys() - {"index", "correct", "seconds", "examples"}:
            raise file_error(path, problem, remedy)
        return found


def _are_examples(examples: NDArray[Any] | None, fooled: int) -> bool:
    if examples is None:
        return True
    return (
        examples.ndim == 4 and len(examples) == fooled and examples.dtype in (np.uint8, np.float32)
    )


class CacheFolder(NamedTuple):
    """Where outcomes are stored, and when those of another process are used.

    Attributes:
        path: the folder.
        reuse: whether to use them although the model has state that cannot be read.
        origin: the file that the model comes from, as a digest; another file gives other outcomes.
    """

    path: Path
    reuse: bool = False
    origin: str = ""


class EvaluationCache:
    """The cache of one model's evaluation in ``folder``; with ``None`` nothing is on disk."""

    def __init__(self, folder: CacheFolder | None, evaluated: EvaluatedModel) -> None:
        """Compute the key of everything that determines the outcomes besides the task."""
        self._folder, self._evaluated = folder and folder.path, evaluated
        # Without a folder the key is not used, and a large model takes long to hash.
        self._key = "" if folder is None else of_first(_key(evaluated, folder))

    def of_task(self, task: EvalTask) -> TaskCache:
        """Return the cache of one task, with the outcomes that are on disk."""
        stem = self._stem(task.name, task.key(self._evaluated))
        return of_first(TaskCache(stem if is_first() else None, len(self._evaluated.split)))

    def checks(
        self, index: NDArray[np.int64], epsilon: float, compute: Callable[[], tuple[Check, ...]]
    ) -> tuple[Check, ...]:
        """Return the sanity checks on the images at ``index``, computed if they are not on disk."""
        return of_first(self._checks(index, epsilon, compute) if is_first() else ())

    def _checks(
        self, index: NDArray[np.int64], epsilon: float, compute: Callable[[], tuple[Check, ...]]
    ) -> tuple[Check, ...]:
        stem = self._stem("sanity checks", f"{_CHECKS_FORMAT} {epsilon!r} {index.tolist()}")
        if stem is None:
            return compute()
        path = stem.with_suffix(".json")
        if not path.exists():
            write_json(path, [check.model_dump(mode="json") for check in compute()])
        content = read_json(path)
        if not isinstance(content, list):
            raise file_error(path, "holds no sanity checks", "delete it")
        return tuple(validate(Check, check, f"{path} (delete it)") for check in content)

    def _stem(self, name: str, determines: str) -> Path | None:
        """Return the start of the names of the files that hold outcomes of this key."""
        if self._folder is None:
            return None
        key = digest([self._key, determines])[:16]
        return self._folder / f"{name} {key}".replace("/", "-").replace(" ", "-")


def _files(stem: Path | None) -> list[Path]:
    """Return the files of a task in their order; others that are named alike are not its own."""
    if stem is None:
        return []
    found = stem.parent.glob(f"{glob.escape(stem.name)}-*.safetensors")
    return sorted(path for path in found if _number(path) >= 0)


def _number(path: Path) -> int:
    """Return the number in the name of a file, or -1 if it has none."""
    digits = path.stem.rpartition("-")[2]
    return int(digits) if re.fullmatch(r"[0-9]{6,12}", digits) else -1


def _key(evaluated: EvaluatedModel, folder: CacheFolder) -> str:
    state = model_state(evaluated.model)
    # Of a model with unknown state, no outcome is used again, except where the user vouches for it.
    once = state.unknown and not folder.reuse
    if once:
        logger.info(
            "outcomes of this model are not used again, since it holds %s; use --reuse if its "
            "state never changes",
            printable(state.unknown[0]),
        )
    return json.dumps(
        [
            _FORMAT,
            package_versions(_PACKAGES),
            evaluated.device.type,
            state.digest,
            secrets.token_hex() if once else "",
            str(evaluated.model),
            folder.origin,
            split_hash(evaluated.split),
            evaluated.seed,
            evaluated.example_format,
        ]
    )
