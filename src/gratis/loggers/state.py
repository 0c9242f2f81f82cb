"""What a logger has been sent, in a file beside the log, so that a resumed run goes on there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from gratis.errors import GratisError
from gratis.json_files import read_json, write_json
from gratis.settings import Settings, validate


class Progress(Settings):
    """How much of one log was sent.

    Attributes:
        steps: the step of the last line that was sent, by the kind of line.
        rollbacks: the number of rollbacks that were sent.
    """

    steps: dict[str, int] = Field(default_factory=dict)
    rollbacks: int = 0

    def rolled_back(self, step: int) -> "Progress":
        """Return the progress after a rollback to ``step``, from where lines come again."""
        steps = {kind: min(last, step) for kind, last in self.steps.items()}
        return Progress(steps=steps, rollbacks=self.rollbacks + 1)

    def sent(self, line: Mapping[str, Any]) -> "Progress":
        """Return the progress after a line of the log."""
        return Progress(steps=self.steps | {line["kind"]: line["step"]}, rollbacks=self.rollbacks)

    def is_new(self, line: Mapping[str, Any]) -> bool:
        """Return whether a line was not sent yet."""
        return bool(line["step"] > self.steps.get(line["kind"], -1))


class State(Settings):
    """What a logger has been sent.

    Attributes:
        target: where it was sent, such as a server.
        run: the identity of the run there.
        progress: how much of each log was sent, by its prefix.
        images: the step of the held-out images that were sent last.
        results: the digest of the results that were sent.
    """

    target: str
    run: str
    progress: dict[str, Progress] = Field(default_factory=dict)
    images: int = -1
    results: str = ""

    def write(self, path: Path) -> None:
        """Write the state, all or nothing."""
        write_json(path, self.model_dump(mode="json"))


def read_state(path: Path) -> State | None:
    """Return what was written to ``path``; ``None`` if there is nothing that can be used."""
    if not path.is_file():
        return None
    try:
        return validate(State, read_json(path), str(path))
    except GratisError:
        return None
