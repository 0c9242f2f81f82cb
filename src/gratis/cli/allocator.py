"""Memory that one step frees is what the next one asks for: let the C library keep it.

glibc hands large blocks back to the system as soon as they are freed, and the next step pays for
each of their pages anew. Where tensors lie changes no number.
"""

import ctypes
import functools

# From glibc's malloc.h: never give back the end of the heap, and put nothing outside it.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_OPTIONS = {_M_TRIM_THRESHOLD: -1, _M_MMAP_MAX: 0}


@functools.cache
def keep_memory() -> bool:
    """Let this process keep what it frees, from now on; return whether it will.

    It then keeps the most memory that it has used at once. With another C library than glibc
    nothing happens.
    """
    try:
        return keep_memory_of(ctypes.CDLL(None))
    except (OSError, TypeError):
        # Windows has no library of the whole process.
        return False


def keep_memory_of(library: object) -> bool:
    """Tell a C library to keep what is freed; return whether it understood.

    Any but glibc is left alone, whatever it calls by these names.
    """
    mallopt = getattr(library, "mallopt", None)
    if mallopt is None or not hasattr(library, "gnu_get_libc_version"):
        return False
    return all([mallopt(option, value) == 1 for option, value in _OPTIONS.items()])
