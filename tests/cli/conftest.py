"""Fixtures of several tests of the command line."""

import pytest


@pytest.fixture
def works(within):
    """Run a command within this process; return its output."""

    def run(*arguments):
        code, streams = within(*arguments)
        assert code == 0, streams
        return streams.out

    return run


@pytest.fixture
def refused(within):
    """Run a command within this process; return its one line of complaint."""

    def run(*arguments):
        code, streams = within(*arguments)
        assert code == 2, streams
        assert "Traceback" not in streams.err
        return streams.err

    return run
