"""The checkpoints that a rollback goes back to.

They are chosen by the passes done and never by time, so that the same command goes back to the same
step each time, on a slow machine as on a fast one and however often the run is stopped.
"""

import math
from collections.abc import Callable
from pathlib import Path

from gratis.ranks import is_first
from gratis.training import checkpoint_file
from gratis.training.divergence import CatastrophicOverfitting, Divergence

# At least one twentieth of the run and at least so many full steps are between two of them: saving
# them costs little, in a short run of a small network too.
_SHARE, _STEPS = 1 / 20, 200
# The same where a budget of time decides how long the run is.
_STEPS_OF_UNKNOWN = 1_000


class RollbackPoints:
    """The two checkpoints in the folder of a run that a rollback may go back to."""

    def __init__(self, folder: Path, planned: float, passes_per_step: float) -> None:
        """Choose the positions in a run of ``planned`` passes; infinite if not known yet."""
        self._newest = folder / "checkpoint.rollback.safetensors"
        # The last one in which the monitor found no overfitting.
        self._robust = folder / "checkpoint.robust.safetensors"
        steps = _STEPS if math.isfinite(planned) else _STEPS_OF_UNKNOWN
        share = _SHARE * planned if math.isfinite(planned) else 0.0
        self._between = max(share, steps * passes_per_step)

    def due(self, before: float, after: float) -> bool:
        """Return whether a step that led from ``before`` to ``after`` passes reached a position."""
        return int(after / self._between) > int(before / self._between)

    def save(self, write: Callable[[Path], None], to: Path, *, robust: bool = False) -> None:
        """Save the current state to go back to, and as the run's newest checkpoint ``to``.

        ``to`` is replaced last: a process that is killed in between continues from before this
        position, and saves it again. ``robust`` says whether to go back to this state also after
        catastrophic overfitting.

        Raises:
            Divergence: the state is not finite.
        """
        write(self._newest)
        if not is_first():
            return
        # Of these one is enough; each may be large.
        checkpoint_file.previous(self._newest).unlink(missing_ok=True)
        if robust:
            checkpoint_file.copy(self._newest, self._robust)
        checkpoint_file.copy(self._newest, to, keep_previous=True)

    def to_restore(self, divergence: Divergence, newest: Path) -> Path:
        """Return the checkpoint to go back to after a divergence.

        After catastrophic overfitting that is the last one in which the monitor found none. A run
        that an earlier version began may have no checkpoint for this, and goes back to ``newest``.
        """
        if isinstance(divergence, CatastrophicOverfitting) and checkpoint_file.exists(self._robust):
            return self._robust
        return self._newest if checkpoint_file.exists(self._newest) else newest

    def remove(self) -> None:
        """Remove the files of a finished run."""
        for path in (self._newest, self._robust) if is_first() else ():
            path.unlink(missing_ok=True)
