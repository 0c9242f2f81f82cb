"""Keep the memory that a step frees, because the next step needs it again.

glibc returns large blocks to the system as soon as they are freed, and the next step pays for
every page again. The setting is one of the whole process, so only the command line makes it.
"""

import ctypes
import functools

# From glibc's malloc.h: never return the end of the heap, and allocate nothing outside it.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_OPTIONS = {_M_TRIM_THRESHOLD: -1, _M_MMAP_MAX: 0}


@functools.cache
def keep_memory() -> bool:
    """Make this process keep the memory that it frees; return whether that worked.

    It then holds the most memory that it has used at once. It works with glibc only.
    """
    try:
        return keep_memory_of(ctypes.CDLL(None))
    except (OSError, TypeError):
        # Windows cannot open the process itself as a library.
        return False


def keep_memory_of(library: object) -> bool:
    """Make a C library keep freed memory; return whether it is glibc and did."""
    mallopt = getattr(library, "mallopt", None)
    if mallopt is None or not hasattr(library, "gnu_get_libc_version"):
        return False
    return all([mallopt(option, value) == 1 for option, value in _OPTIONS.items()])
