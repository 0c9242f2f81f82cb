"""Fuzz every function that reads untrusted files.

    uv run python scripts/fuzz.py archive --minutes 10

Valid files are damaged at random: bits flipped, lengths inflated, parts cut out, doubled or mixed
with those of another file. Recipes are also generated from their vocabulary. An example must be
read or refused in one clear line. Anything else is a finding: another exception, control
characters in a message, more than ten seconds, more than a gigabyte, or a file written outside.
Findings are kept in ``--findings``, and the command that repeats each is printed. The exit code is
1 if there is any.
"""

import argparse
import faulthandler
import hashlib
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from fuzz_targets import TARGETS, Offer, Target

from gratis.errors import GratisError, printable

SECONDS, MEMORY, ROUND = 10.0, 2**30, 500
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
_TOKENS = (b"\x00", b"\n", b"../", b"/", b"{", b"[", b"'", b'"', b"1e999", b"-1", b"nan", b"9" * 30)


class Hang(BaseException):
    """An example took too long. Not an Exception, so that no reader catches it."""


@dataclass(frozen=True)
class Finding:
    """An example that was neither read nor refused in a clear line, and the reason."""

    number: int
    offer: Offer
    reason: str

    @property
    def kind(self) -> str:
        """The exception and its place, which findings of the same fault have in common."""
        return self.reason.partition(":")[0] + self.reason.rpartition(" (")[2]


def mutated(source: random.Random, offers: list[Offer]) -> Offer:
    """Return one of the offers with zero to four mutations."""
    name, content = source.choice(offers)
    for _ in range(source.randrange(5)):
        content = _mutate(source, content, source.choice(offers)[1])
    return name, content


def _mutate(source: random.Random, content: bytes, other: bytes) -> bytes:
    # Lengths and names are in the headers.
    near = min(len(content), 512) if source.random() < 0.6 else len(content)
    start = source.randrange(near + 1)
    stop = min(len(content), start + source.choice((1, 2, 4, 8, 64, 1024)))
    before, part, after = content[:start], content[start:stop], content[stop:]
    kind = source.randrange(8)
    if kind == 0:
        return before
    if kind == 1:
        return before + after
    if kind == 2:
        return before + part * source.choice((2, 3, 50)) + after
    if kind == 3:
        return before + source.choice(_TOKENS) + part + after
    if kind == 4:
        begin = source.randrange(len(other) + 1)
        return before + other[begin : begin + 256] + after
    if kind == 5:
        size, order = source.choice((1, 2, 4, 8)), source.choice("<>")
        number = source.choice(_EXTREMES) % 256**size
        length = struct.pack(order + {1: "B", 2: "H", 4: "I", 8: "Q"}[size], number)
        return before + length + content[start + size :]
    flipped = bytes(byte ^ (1 << source.randrange(8)) for byte in part[:4])
    return before + flipped + part[4:] + after


def fuzz(
    target: Target, seed: int, first: int, examples: int | None, until: float
) -> Iterator[Finding | None]:
    """Try examples from number ``first`` on; yield a finding, or ``None``, for each.

    Args:
        target: the reader to fuzz.
        seed: the seed; with its number it determines an example.
        first: the number of the first example.
        examples: the number of examples; ``None`` for as many as fit into the time.
        until: when to stop, in seconds of ``time.monotonic()``.
    """
    number, offers = first, list[Offer]()
    with tempfile.TemporaryDirectory() as name:
        while number - first != examples and time.monotonic() < until:
            if not offers or number % ROUND == 0:
                offers = target.offers(f"{seed}-{number // ROUND}")
            offer = mutated(random.Random(f"{seed}-{number}"), offers)
            reason = _attempt(target, offer, Path(name) / f"{number}")
            yield Finding(number, offer, reason) if reason else None
            number += 1


def _attempt(target: Target, offer: Offer, folder: Path) -> str:
    """Return the reason of a finding, or an empty string."""
    folder.mkdir()
    try:
        return _read(target, offer, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read(target: Target, offer: Offer, folder: Path) -> str:
    try:
        with _time_limit(), warnings.catch_warnings(action="ignore"):
            target.read(*offer, folder)
    except GratisError as error:
        message = str(error).replace("\n", "")
        return "" if printable(message) == message else f"control characters in {message!r}"
    except (Exception, Hang) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
    return ""


@contextmanager
def _time_limit() -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise Hang(f"more than {SECONDS:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))


def _keep(finding: Finding, folder: Path, repeat: str) -> None:
    name, content = finding.offer
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(content).hexdigest()[:12]}-{name}"
    path.write_bytes(content)
    print(f"\nFINDING {printable(finding.reason)}\n  {path}\n  again: {repeat}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", choices=list(TARGETS))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first example")
    parser.add_argument("--examples", type=int, help="number of examples (default: no limit)")
    parser.add_argument("--findings", type=Path, default=Path("local/findings"))
    return parser.parse_args()


def _main() -> int:
    given = _arguments()
    target, tried, kinds = TARGETS[given.target], 0, set[str]()
    target.offers("warm up")
    _limit_memory()
    began = time.monotonic()
    until = began + 60 * given.minutes
    for finding in fuzz(target, given.seed, given.first, given.examples, until):
        tried += 1
        # If even the alarm is not handled, print the traceback and exit.
        faulthandler.dump_traceback_later(6 * SECONDS, exit=True)
        if finding is not None and finding.kind not in kinds:
            kinds.add(finding.kind)
            options = f"--seed {given.seed} --first {finding.number} --examples 1"
            _keep(finding, given.findings, f"{sys.argv[0]} {given.target} {options}")
    faulthandler.cancel_dump_traceback_later()
    seconds = time.monotonic() - began
    print(f"{given.target}: {tried} examples in {seconds:.0f} s, {len(kinds)} kinds of findings")
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(_main())
