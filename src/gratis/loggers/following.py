"""Start and end the processes that tell loggers of a run."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gratis.files import make_folder
from gratis.loggers.names import require
from gratis.loggers.process import LoggerProcess
from gratis.regular_files import refuse_link
from gratis.results.held_out_images import FOLDER

logger = logging.getLogger(__name__)


@contextmanager
def following(folder: Path, names: str | Sequence[str]) -> Iterator[None]:
    """Tell loggers of the run in ``folder`` while the block runs.

    Each logger has a process of its own, which reads the run's log. Whatever becomes of it, the
    block goes on; at the end, the loggers have some time to send the rest.

    Raises:
        GratisError: there is no such logger, its packages are missing, or what is written is a
            symbolic link or no regular file.
    """
    wanted = require(names)
    if not wanted:
        yield
        return
    refuse_link(folder / FOLDER, *(folder / name for name in wanted))
    make_folder(folder / FOLDER)
    processes: list[LoggerProcess] = []
    try:
        for name in wanted:
            processes.append(LoggerProcess(folder, name))
        try:
            yield
        except KeyboardInterrupt:
            # The user does not want to wait.
            raise
        except BaseException:
            _send_rest(processes)
            raise
        else:
            _send_rest(processes)
    finally:
        for process in processes:
            process.kill()
        if not (folder / "recipe.yaml").exists():
            # The run was refused before it began.
            shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _send_rest(processes: Sequence[LoggerProcess]) -> None:
    for process in processes:
        process.end()
    for process in processes:
        process.await_end()
