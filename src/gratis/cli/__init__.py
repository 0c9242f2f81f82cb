"""The command line.

Importing this package imports very little: an interrupt during the imports of a command must
find :func:`main` running, which ends without a traceback.
"""

import sys

from gratis.cli.interrupts import quiet_interrupts
from gratis.cli.streams import FaultTolerantStream, fault_tolerant_streams, is_reader_gone

__all__ = ["main"]


def main() -> None:
    """Run the command line; an error that the user can fix is one line and exit code 2."""
    with fault_tolerant_streams() as output, quiet_interrupts():
        from gratis.cli.running import run

        code = run()
        output.flush()
        if code == 0 and output.error is not None and not is_reader_gone(output.error):
            code = _complain_of(output)
    sys.exit(code)


def _complain_of(output: FaultTolerantStream) -> int:
    """Say that results could not be printed, which are all that some commands make."""
    reason = getattr(output.error, "strerror", None) or output.error
    sys.stderr.write(f"error: standard output cannot be written ({reason})\n")
    return 2
