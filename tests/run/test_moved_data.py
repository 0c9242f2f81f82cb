"""A run whose data is gone says which option names the folder that holds it now."""

import pytest
from PIL import Image

from gratis.data.info import DataInfo
from gratis.errors import GratisError
from gratis.recipe import resolve, with_overrides
from gratis.run import RunFolder, load_run
from gratis.run.loading import load_once
from gratis.run.training import train_only


@pytest.fixture
def run(tmp_path):
    """The folder of a run that has begun, on a folder of images that has moved since."""
    for name in ("cat", "dog"):
        for image in range(12):
            path = tmp_path / "pets" / name / f"{image}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (image, 0, 9 * len(name))).save(path)
    changes = ["data.name=folder", f"data.root={tmp_path / 'pets'}", "model.channels=[8,8,8,8]"]
    recipe = resolve("free", "photos-cpu", changes)
    RunFolder(tmp_path / "run").claim(recipe, DataInfo.of(load_once(recipe.data)), None)
    (tmp_path / "pets").rename(tmp_path / "moved")
    return tmp_path / "run"


def test_evaluation_and_training_name_the_option(run, tmp_path):
    with pytest.raises(GratisError, match=r"pets: held the data .*--data-root DIR"):
        load_run(run)
    with pytest.raises(GratisError, match=r"pets: held the data .*--data-root DIR"):
        train_only(RunFolder(run).recipe(), run)


def test_the_option_works(run, tmp_path):
    # The data is found and is the same; what is missing is the checkpoint.
    with pytest.raises(GratisError, match="checkpoint"):
        load_run(run, tmp_path / "moved")
    moved = with_overrides(RunFolder(run).recipe(), [f"data.root={tmp_path / 'moved'}"])
    assert moved.weights_identity() == RunFolder(run).recipe().weights_identity()
