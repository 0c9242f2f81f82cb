"""Random seeds and generators derived from keys.

Every random draw has a generator of its own, seeded by a key such as ``(seed, "augment", batch)``.
A resumed run therefore needs no saved random state: its position determines every later draw.
"""

import hashlib

import torch

Key = int | str


def derive(*key: Key) -> int:
    """Return a seed in [0, 2**63) that depends on every part of the key and on their order."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in key)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(device: torch.device | str, *key: Key) -> torch.Generator:
    """Return a generator on ``device``, seeded by ``key``."""
    return torch.Generator(device=device).manual_seed(derive(*key))
