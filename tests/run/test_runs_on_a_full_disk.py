"""A disk that is full at any write: one clear line, nothing half-written, the rerun succeeds."""

import pytest
import torch

from full_disk import at_most
from gratis.errors import GratisError
from gratis.recipe import resolve
from gratis.run import resume, train
from gratis.training import checkpoint_file

TINY = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "data.classes=3"),
    *("train.epochs=2", "train.log_every_steps=1", "evaluate.images=40", "evaluate.pgd_steps=1"),
]
# From less than the first file holds to more than all but the largest do.
LIMITS = (0, 1000, 3000, 10_000, 60_000)


@pytest.fixture(scope="module")
def recipe():
    return resolve("free", "digits", TINY)


@pytest.fixture(scope="module")
def undisturbed(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    return train(recipe, folder), folder


def weights(folder):
    tensors, _ = checkpoint_file.read(folder / "checkpoint.safetensors")
    return {name: value for name, value in tensors.items() if name.startswith("model.")}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_disk_that_is_full_while_training(limit, recipe, undisturbed, tmp_path):
    folder = tmp_path / "run"
    with (
        pytest.raises(GratisError, match=r"cannot be written \(File too large\)") as caught,
        at_most(limit),
    ):
        train(recipe, folder)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.partial"))
    results, whole = undisturbed
    assert train(recipe, folder).model_dump(exclude={"seconds"}) == results.model_dump(
        exclude={"seconds"}
    )
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(folder).items())


@pytest.mark.parametrize("limit", [0, 1000])
def test_a_disk_that_is_full_later_keeps_what_was_there(limit, recipe, undisturbed, tmp_path):
    """The results of a finished run are gone, and must be measured and written anew."""
    folder = tmp_path / "run"
    results = train(recipe, folder)
    kept = ("checkpoint.safetensors", "recipe.yaml", "metrics.jsonl")
    before = {name: (folder / name).read_bytes() for name in kept}
    (folder / "results.json").unlink()
    with pytest.raises(GratisError, match="cannot be written"), at_most(limit):
        resume(folder)
    assert {name: (folder / name).read_bytes() for name in kept} == before
    assert not list(tmp_path.rglob("*.partial"))
    assert resume(folder) == results
