import pytest
import torch
from offer import finish


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """These networks are too small to share out."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def finished(one_thread, tmp_path_factory):
    """A folder that holds a finished reproduction: look, and copy, but leave it."""
    folder = tmp_path_factory.mktemp("finished")
    finish(folder)
    return folder
