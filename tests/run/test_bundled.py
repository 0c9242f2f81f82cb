"""The small models that come with gratis."""

from pathlib import Path

import numpy as np
import pytest

import gratis
from gratis.playground.attack_steps import first_error
from gratis.playground.models import load_models
from gratis.run.bundled import BUNDLED, bundled_folder
from gratis.run.folder import RunFolder
from gratis.run.shared_folder import check

SAMPLES = sorted((Path(gratis.__file__).parent / "playground" / "samples").glob("*.jpg"))


@pytest.fixture(scope="module")
def models():
    return load_models(list(BUNDLED))


@pytest.mark.parametrize("name", BUNDLED)
def test_weights_and_card_are_those_of_the_results(name):
    folder = bundled_folder(name)
    assert check(folder).name == name
    results = RunFolder(folder).results()
    assert (results.n, results.classes) == (10_000, 200)


def test_they_are_small():
    files = [file for name in BUNDLED for file in bundled_folder(name).iterdir()]
    assert sum(file.stat().st_size for file in files) < 12e6


def test_the_robust_one_withstands_more(models):
    natural, robust = models
    assert natural.classes == robust.classes
    sizes = np.array([[_first_error(model, file) for model in models] for file in SAMPLES])
    # On single images the natural one may be luckier.
    assert np.median(sizes[:, 1]) > 1.5 * np.median(sizes[:, 0])


def _first_error(model, sample):
    images = model.read(sample)
    answer = int(model.probabilities(images).argmax())
    return first_error(model, images, answer, "linf", 16 / 255) or 1.0


def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    from gratis.run.hub import local_folder

    monkeypatch.chdir(tmp_path)
    assert local_folder(BUNDLED[0]) == bundled_folder(BUNDLED[0])
    (tmp_path / BUNDLED[0]).mkdir()
    assert local_folder(BUNDLED[0]) == Path(BUNDLED[0])
