"""The JSON-lines log of training, as far as a report shows it."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from gratis.errors import file_error
from gratis.regular_files import open_regular

_REMEDY = "restore it, or delete it: without it the report shows no training curves"
# No line of gratis is longer, and no chart shows more lines.
_LONGEST, _MOST, _BYTES_OF_STEPS = 2**16, 50_000, 2 * 2**20
_STEP = b'"kind": "step"'


class LogLine(BaseModel):
    """The fields of one line of ``metrics.jsonl`` that a report uses.

    Attributes:
        epoch: passes done / training images.
        kind: ``step``, ``epoch`` or ``rollback``.
        loss: the training loss.
        accuracy: the accuracy on the training batches, in [0, 1].
        epsilon: the epsilon of training, in [0, 1] units of pixel value.
        replays: the replays of a batch.
        held_out: accuracies on held-out training images, by metric, in [0, 1].
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    epoch: float
    kind: str = ""
    loss: float | None = None
    accuracy: float | None = None
    epsilon: float | None = None
    replays: float | None = None
    held_out: dict[str, float] | None = None


def read_log(path: Path) -> list[LogLine]:
    """Return the lines of a log; of a very long one, evenly spaced lines of the steps."""
    try:
        return _read(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise file_error(path, f"cannot be read ({error.strerror or error})", _REMEDY) from error


def _read(path: Path) -> list[LogLine]:
    found: list[LogLine] = []
    number = others = 0
    with open_regular(path) as stream:
        every = 1 + path.stat().st_size // _BYTES_OF_STEPS
        while line := stream.readline(_LONGEST):
            number += 1
            is_step = _STEP in line
            if is_step and number % every:
                continue
            found.append(_parsed(path, number, line))
            others += not is_step
            if others > _MOST:
                raise file_error(path, f"has more than {_MOST:,} lines of epochs", _REMEDY)
    return found


def _parsed(path: Path, number: int, line: bytes) -> LogLine:
    try:
        return LogLine.model_validate_json(line)
    except ValidationError as error:
        problem = f"line {number} is no line of a log ({error.errors()[0]['msg']})"
        raise file_error(path, problem, _REMEDY) from error
