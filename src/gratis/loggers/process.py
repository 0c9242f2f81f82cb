"""The process of one logger, as the process that trains sees it."""

import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from gratis.errors import printable, quoted
from gratis.loggers.messages import LEVELS
from gratis.regular_files import open_to_change, unwritable
from gratis.results.held_out_images import FOLDER

logger = logging.getLogger(__name__)

# How many seconds a logger has after the end of a run to send the rest: to import its library and
# to create a database takes long on a busy machine, but one that has failed already need not.
_PATIENCE, _AFTER_FAILURE = 60.0, 10.0
# Training comes first.
_NICENESS = 10
# After so many seconds, the user is told what is waited for.
_SILENCE = 3.0


class LoggerProcess:
    """A process that follows the log of a run, and its messages."""

    def __init__(self, folder: Path, name: str) -> None:
        """Start it; its folder in that of the run must exist.

        Raises:
            GratisError: the file for its errors is a link or no regular file.
        """
        self._folder, self._name, self._failed = folder, name, False
        self._errors = folder / FOLDER / f"{name}.log"
        # -P: files in the current folder must not stand in for the modules of libraries.
        command = [sys.executable, "-P", "-m", "gratis.loggers"]
        command += [name, str(folder.absolute()), str(_NICENESS)]
        with self._empty_file() as errors:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                errors="replace",
                # Ctrl-C is for the process that trains.
                start_new_session=True,
            )
        self._messages = threading.Thread(target=self._pass_on, daemon=True)
        self._messages.start()

    def _empty_file(self) -> BinaryIO:
        try:
            errors = open_to_change(self._errors)
        except OSError as error:
            raise unwritable(self._errors, error, "remove it") from error
        errors.truncate()
        return errors

    def end(self) -> None:
        """Ask it to send the rest and to end."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def await_end(self) -> None:
        """Wait until it ends or takes too long, and say what to do in that case."""
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_SILENCE)
            if self._process.returncode is None:
                logger.info(f"{self._name}: sending the rest; press Ctrl-C to leave it")
            code = self._process.wait(_AFTER_FAILURE if self._failed else _PATIENCE)
            problem = f"failed, see {self._errors}" if code else ""
        except subprocess.TimeoutExpired:
            problem = "did not end in time"
        if problem:
            logger.warning(f"{self._name}: {problem}; send the rest with: {self._remedy()}")

    def kill(self) -> None:
        """End it, and what it started itself."""
        self.end()
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._process.wait()
        self._messages.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _remedy(self) -> str:
        opened = (self._folder / FOLDER / f"{self._name}.json").exists()
        if self._name == "wandb" and opened:
            # Its own process has everything on the disk.
            return f"wandb sync {quoted(self._folder / 'wandb' / 'latest-run')}"
        return f"gratis resume {quoted(self._folder)} --log {self._name}"

    def _pass_on(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            level, _, text = line.strip().partition(" ")
            if level in LEVELS:
                self._failed |= level == "failed"
                said = f"failed, {text}" if level == "failed" else text
                logger.log(LEVELS[level], f"{self._name}: {printable(said)}")
