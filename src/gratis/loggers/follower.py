"""Follow the log of one run, and tell one logger what is new."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gratis.digests import file_digest
from gratis.loggers.base import LoggedRun, Logger
from gratis.loggers.lines import Entry, entry_of
from gratis.loggers.log_tail import LogTail
from gratis.loggers.messages import tell
from gratis.loggers.pictures import Montage, held_out_montage, sample_montage
from gratis.loggers.state import Progress, State, read_state
from gratis.results import METRICS, HeldOutImages, Results
from gratis.results.held_out_images import FOLDER, IMAGES
from gratis.results.sample_images import FILE as SAMPLES
from gratis.yaml_files import read_text, read_yaml

# The logs of a run by the prefix of their names; a hardened run has that of its natural training.
LOGS = {"": "metrics.jsonl", "natural/": "natural/metrics.jsonl"}
_WORST = ("robust", "robust_l2", "geometric_worst", "corruptions", "expected")

Open = Callable[[LoggedRun, str, str | None], Logger]


class Follower:
    """What one logger was told of the run in a folder.

    :meth:`send` tells it the rest. If it fails, the next call goes on where the state on the disk
    says, with a logger that is opened anew.
    """

    def __init__(self, folder: Path, word: str, open_logger: Open, target: str) -> None:
        """Read what was sent before; nothing is sent yet."""
        self._folder, self._open_logger, self._target = folder, open_logger, target
        self._file = folder / FOLDER / f"{word}.json"
        self._tails = {prefix: LogTail(folder / name) for prefix, name in LOGS.items()}
        # The rollbacks that the lines read so far hold, by the prefix of their log.
        self._rollbacks = dict.fromkeys(LOGS, 0)
        self._logger: Logger | None = None
        self._terms: Sequence[str] = ()
        self._state: State | None = None

    def send(self) -> None:
        """Tell the logger what is new; the run's folder must have its recipe by now."""
        if not (self._folder / "recipe.yaml").is_file():
            return
        logger, state = self._opened()
        for prefix, tail in self._tails.items():
            new = tail.read()
            if new.restarted:
                self._rollbacks[prefix] = 0
            state = self._send_lines(logger, state, prefix, new.lines)
        state = self._send_results(logger, self._send_held_out(logger, state))
        if state != self._state:
            state.write(self._file)
            self._state = state

    def close(self) -> None:
        """Close the logger, if it is open."""
        if self._logger is not None:
            logger, self._logger = self._logger, None
            logger.close((self._folder / "results.json").is_file())

    def _opened(self) -> tuple[Logger, State]:
        """Return the open logger, and what it was sent."""
        if self._logger is not None and self._state is not None:
            return self._logger, self._state
        path = self._folder / "recipe.yaml"
        recipe = read_yaml(path)
        objective = recipe.get("objective")
        self._terms = list(objective) if isinstance(objective, dict) else []
        before = read_state(self._file)
        if before is not None and before.target != self._target:
            before = None
        run = LoggedRun(self._folder, recipe, read_text(path))
        resumed = None if before is None else before.run
        self._logger = self._open_logger(run, self._target, resumed)
        tell("info", self._logger.where)
        state = before or State(target=self._target, run=self._logger.run)
        # At once, so that a process that is killed leaves no run behind that nothing continues.
        state.write(self._file)
        self._state = state
        return self._logger, state

    def _send_lines(
        self, logger: Logger, state: State, prefix: str, lines: list[dict[str, Any]]
    ) -> State:
        progress, entries = state.progress.get(prefix, Progress()), list[Entry]()
        for line in lines:
            if line["kind"] == "rollback":
                self._rollbacks[prefix] += 1
                if self._rollbacks[prefix] <= progress.rollbacks:
                    continue
                logger.scalars(entries)
                entries = []
                progress = progress.rolled_back(line["to_step"])
                logger.rolled_back(line["to_step"])
            elif not progress.is_new(line):
                continue
            entries.append(entry_of(line, self._terms, prefix))
            progress = progress.sent(line)
        if entries:
            logger.scalars(entries)
        return state.model_copy(update={"progress": state.progress | {prefix: progress}})

    def _send_held_out(self, logger: Logger, state: State) -> State:
        path = self._folder / FOLDER / IMAGES
        if not path.is_file():
            return state
        images = HeldOutImages.load(path)
        if images.step == state.images:
            return state
        _send_montage(logger, "held_out/images", held_out_montage(images), images.step)
        return state.model_copy(update={"images": images.step})

    def _send_results(self, logger: Logger, state: State) -> State:
        path = self._folder / "results.json"
        if not path.is_file() or (digest := file_digest(path)) == state.results:
            return state
        step = max(state.progress[""].steps.values(), default=0)
        logger.scalars([Entry(step, _accuracies(Results.read(path)))])
        samples = self._folder / "evaluation" / SAMPLES
        if samples.is_file():
            _send_montage(logger, "evaluation/images", sample_montage(samples), step)
        return state.model_copy(update={"results": digest})


def _send_montage(logger: Logger, name: str, montage: Montage, step: int) -> None:
    logger.picture(name, montage.pixels, step, montage.caption)


def _accuracies(results: Results) -> dict[str, float]:
    """Return the accuracies of an evaluation, and those of the model before hardening."""
    found = {f"evaluation/{name}": getattr(results, name) for name in (*METRICS, *_WORST)}
    if results.before is not None:
        before = results.before.model_dump()
        found |= {f"evaluation_before/{name}": value for name, value in before.items()}
    return {name: value for name, value in found.items() if value is not None}
