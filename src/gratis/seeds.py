"""Random numbers keyed by what they are for.

Every draw comes from a generator seeded by a tuple such as ``(seed, "augment", batch)``. A run
that resumes needs no saved random state: the position alone says what comes next.
"""

import hashlib

import torch

Key = int | str


def derive(*key: Key) -> int:
    """Return a seed in [0, 2**63) that depends on the whole key and on its order."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in key)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(device: torch.device | str, *key: Key) -> torch.Generator:
    """Return a generator on ``device`` seeded by ``key``."""
    return torch.Generator(device=device).manual_seed(derive(*key))
