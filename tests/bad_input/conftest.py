import pytest
from offer import finish


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A folder that holds a finished reproduction: look, and copy, but leave it."""
    folder = tmp_path_factory.mktemp("finished")
    finish(folder)
    return folder
