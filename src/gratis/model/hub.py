"""Whether pretrained weights can be downloaded, asked once and quickly.

Without a network the hub's client repeats every request for more than a minute.
"""

import functools
from collections.abc import Sequence

_SECONDS = 5


def missing(repository: str, files: Sequence[str]) -> str | None:
    """Return why none of ``files`` can be had from a repository of the hub; ``None`` if one can.

    A file in the hub's cache needs no network.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    if any(isinstance(try_to_load_from_cache(repository, file), str) for file in files):
        return None
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, and they are not in the cache"
    return _silent(constants.ENDPOINT)


@functools.cache
def _silent(endpoint: str) -> str | None:
    """Return why an address does not answer; ``None`` if it does, whatever it answers."""
    from huggingface_hub import get_session

    try:
        get_session().head(endpoint, timeout=_SECONDS)
    except Exception as error:
        return f"{endpoint} does not answer: {error or type(error).__name__}"
    return None
