"""A short run of every fuzzer, with the same examples each time."""

import importlib
import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "scripts"))
fuzzing = importlib.import_module("fuzz")
targets = importlib.import_module("fuzz_targets")

EXAMPLES = {"recipe": 40, "manifest": 100, "checkpoint": 100, "archive": 200, "image": 200}


@pytest.mark.parametrize("name", targets.TARGETS)
def test_every_example_is_read_or_refused_in_a_clear_line(name):
    found = fuzzing.fuzz(targets.TARGETS[name], 0, 0, EXAMPLES[name], float("inf"))
    tried = list(found)
    assert len(tried) == EXAMPLES[name]
    assert not [finding.reason for finding in tried if finding]


@pytest.mark.parametrize("name", targets.TARGETS)
def test_every_valid_offer_is_read(name, tmp_path):
    # The packaged files come first; most documents generated from the vocabulary are refused.
    offers = targets.TARGETS[name].offers("0-0")
    for number, offer in enumerate(offers[:16] if name == "recipe" else offers):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        if offer[0] != "tensors":
            targets.TARGETS[name].read(*offer, folder)


def crash(name, content, folder):
    if b"x" not in content:
        raise ZeroDivisionError("no x")


def hang(name, content, folder):
    while True:
        pass


@pytest.mark.parametrize(
    "read, reason", [(crash, "ZeroDivisionError: no x"), (hang, "Hang: more than 0.01 s")]
)
def test_crashes_and_hangs_are_found_and_repeat_by_their_number(read, reason, monkeypatch):
    if read is hang:
        monkeypatch.setattr(fuzzing, "SECONDS", 0.01)
    target = targets.Target(lambda key: [("a", b"xyz")], read)
    findings = [f for f in fuzzing.fuzz(target, 1, 0, 40, float("inf")) if f]
    assert findings and all(finding.reason.startswith(reason) for finding in findings)
    last = findings[-1]
    (again,) = fuzzing.fuzz(target, 1, last.number, 1, float("inf"))
    assert again == last


def test_mutations_differ_and_are_a_function_of_their_seed():
    offers = [("a", bytes(range(200))), ("b", b"text")]
    made = [fuzzing.mutated(random.Random(seed), offers) for seed in range(200)]
    assert made == [fuzzing.mutated(random.Random(seed), offers) for seed in range(200)]
    assert len(set(made)) > 100
