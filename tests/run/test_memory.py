"""What an adversary keeps for every training image is known before training begins."""

import numpy as np
import pytest
import torch

from gratis.data import Batch, Dataset, Split
from gratis.errors import GratisError
from gratis.recipe import resolve
from gratis.run import memory
from gratis.run.build import build_trainer
from gratis.run.dependent_settings import resolve_dependent
from gratis.run.setup_summary import setup_summary

IMAGES, SIZE = 450, 16


@pytest.fixture
def photos():
    split = Split(np.zeros((IMAGES, SIZE, SIZE, 3), np.uint8), np.arange(IMAGES) % 5)
    return Dataset("folder", split, split, tuple("abcde"), "x")


def resolved(photos, *changes, recipe="free"):
    data = ["data.name=folder", "data.root=photos", "model.channels=[8,8,8,8]"]
    return resolve_dependent(resolve(recipe, "photos-cpu", [*data, *changes]), photos)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("views", [1, 2])
def test_the_stated_memory_is_that_of_the_cache(photos, norm, views):
    name = "contrastive-scheduled" if views == 2 else "free"
    recipe = resolved(photos, "adversary=cached", f"adversary.cached.norm={norm}", recipe=name)
    adversary = recipe.adversary_settings.build(0)
    images = torch.zeros(views * 4, 3, SIZE, SIZE)
    batch = Batch(images[:4], torch.zeros(4).long(), torch.arange(4), images, split_size=IMAGES)
    adversary.perturb(None, batch, 0.5)
    cache = adversary.state_dict()["cache"]
    assert memory.kept_bytes(recipe, photos) == cache.nbytes


def test_it_is_stated_before_training_and_refused_with_a_remedy(photos, monkeypatch):
    recipe = resolved(photos, "adversary=cached")
    assert setup_summary(recipe, photos)[3] == (
        "memory: cached keeps a delta for every training image, 0.3 MiB on each device and in "
        "every checkpoint (adversary, data.size)"
    )
    needed = memory.kept_bytes(recipe, photos)
    monkeypatch.setattr(memory, "available_bytes", lambda device: needed - 1)
    with pytest.raises(GratisError) as caught:
        build_trainer(recipe, photos)
    assert str(caught.value) == (
        "adversary.cached: a delta for every one of 450 training images of 16 px takes 0.3 MiB, "
        "and cpu has 0.3 MiB free; use adversary=free, which keeps one for each place in a batch, "
        "or lower data.size or data.classes"
    )
    monkeypatch.setattr(memory, "world_size", lambda: 2)
    with pytest.raises(GratisError, match=r"takes 0\.3 MiB for each of 2 processes, and cpu has"):
        memory.refuse_too_little_memory(recipe, photos, torch.device("cpu"))
    free = resolved(photos)
    assert len(setup_summary(free, photos)) == 3
    for enough in (needed * 2, None):
        monkeypatch.setattr(memory, "available_bytes", lambda device, found=enough: found)
        memory.refuse_too_little_memory(recipe, photos, torch.device("cpu"))


def test_the_memory_left_is_that_of_the_machine_or_of_the_container(tmp_path, monkeypatch):
    cpu = torch.device("cpu")
    files = {name: tmp_path / name.strip("_") for name in ("_MEMINFO", "_LIMIT", "_USED")}
    for name, path in files.items():
        monkeypatch.setattr(memory, name, path)
    assert memory.available_bytes(cpu) is None
    files["_MEMINFO"].write_text("MemTotal: 9000 kB\nMemAvailable:  5000 kB\n")
    assert memory.available_bytes(cpu) == 5000 * 1024
    files["_LIMIT"].write_text("max\n")
    files["_USED"].write_text("1000\n")
    assert memory.available_bytes(cpu) == 5000 * 1024
    files["_LIMIT"].write_text("3000\n")
    assert memory.available_bytes(cpu) == 2000
