import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The proxy of every request that would leave the machine: a closed port.
CLOSED = "http://127.0.0.1:9"


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the site, built strictly and without a network."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    offline = {"HTTP_PROXY": CLOSED, "HTTPS_PROXY": CLOSED, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | offline, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder
