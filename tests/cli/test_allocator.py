"""What is freed stays: seen in the page faults of allocations that come again and again."""

import ctypes
import subprocess
import sys
from types import SimpleNamespace

import pytest

from gratis.cli.allocator import keep_memory, keep_memory_of

GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")

# 40 MiB, beyond any threshold that glibc itself would learn, and twice 4 MiB.
FAULTS = """
import resource, sys
from gratis.cli.allocator import keep_memory
if sys.argv[1] == "keep":
    assert keep_memory()
def step():
    held = [bytearray(n << 20) for n in (40, 4, 4)]
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(what):
    command = [sys.executable, "-c", FAULTS, what]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not GLIBC, reason="not glibc")
def test_pages_are_fetched_once_and_not_at_every_step():
    assert keep_memory()
    assert faults("keep") < 0.05 * faults("leave")


@pytest.mark.parametrize(
    "library",
    [
        SimpleNamespace(),
        SimpleNamespace(gnu_get_libc_version=lambda: b"2.36"),
        SimpleNamespace(mallopt=lambda *_: pytest.fail("not glibc's")),
    ],
    ids=["neither", "no mallopt", "another library's"],
)
def test_a_library_that_cannot_is_left_alone(library):
    assert not keep_memory_of(library)


def test_a_library_that_refuses_is_believed():
    told = []
    refusing = SimpleNamespace(
        gnu_get_libc_version=None, mallopt=lambda option, value: told.append(option) or 0
    )
    assert not keep_memory_of(refusing)
    assert len(told) == 2  # the first refusal does not keep the second option from being set
