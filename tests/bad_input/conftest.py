import pytest
from harness import finish


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A folder that holds a finished reproduction. Tests copy it and never change it."""
    folder = tmp_path_factory.mktemp("finished")
    finish(folder)
    return folder
