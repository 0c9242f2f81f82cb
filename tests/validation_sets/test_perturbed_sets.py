import json
import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from gratis.data.dataset import Split
from gratis.digests import file_digest
from gratis.errors import GratisError
from gratis.validation_sets import build, building, load, made_from
from gratis.validation_sets.geometric import Geometry, Noise, apply, draw, noisy
from gratis.validation_sets.manifest import weights_hash
from gratis.validation_sets.transfer import quantise

EPSILON = 8 / 255
UNCHANGED = Noise(0.0, 1.0, (0.0, 0.0), False, 0.0, 1.0, 1.0, 1.0)


@pytest.fixture
def split():
    source = np.random.default_rng(0)
    images = source.integers(0, 256, (13, 8, 8, 3), dtype=np.uint8)
    return Split(images, source.integers(0, 3, 13))


@pytest.fixture
def baseline():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.Tanh(), nn.Linear(16, 3))


@pytest.fixture
def folder(tmp_path, split, baseline):
    build(tmp_path / "sets", split, True, baseline, EPSILON, seed=3)
    return tmp_path / "sets"


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_two_builds_give_the_same_bytes_with_any_block_size(
    tmp_path, split, baseline, folder, monkeypatch
):
    monkeypatch.setattr(building, "_BLOCK", 4)
    build(tmp_path / "again", split, True, baseline, EPSILON, seed=3)
    assert content(tmp_path / "again") == content(folder)
    build(tmp_path / "other", split, True, baseline, EPSILON, seed=4)
    assert file_digest(tmp_path / "other/geometric.npy") != file_digest(folder / "geometric.npy")
    assert file_digest(tmp_path / "other/transfer.npy") == file_digest(folder / "transfer.npy")


def test_loads_what_was_built(folder, split, baseline):
    sets = load(folder, split)
    assert sets.geometric.shape == split.images.shape and sets.geometric.dtype == np.uint8
    assert isinstance(sets.geometric, np.memmap) and not sets.geometric.flags.writeable
    np.testing.assert_array_equal(sets.labels, split.labels)
    assert sets.manifest.baseline == weights_hash(baseline)
    assert sets.manifest.epsilon == EPSILON and sets.manifest.seed == 3
    assert (sets.geometric != split.images).any()


def test_transfer_stays_within_epsilon_and_raises_the_loss(folder, split, baseline):
    sets = load(folder, split)
    change = sets.transfer.astype(int) - split.images
    assert abs(change).max() == 8

    def loss(images):
        pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2) / 255
        return nn.functional.cross_entropy(baseline(pixels), torch.from_numpy(split.labels))

    assert loss(sets.transfer) > loss(split.images)


def test_fgsm_transfer_is_transfer_under_the_same_noise(folder, split):
    sets = load(folder, split)
    np.testing.assert_array_equal(sets.fgsm_transfer, noisy(sets.transfer, Geometry(), 3, 0))


def test_the_baseline_is_left_as_it_was(tmp_path, split, baseline):
    before = weights_hash(baseline)
    build(tmp_path / "sets", split, True, baseline.train(), EPSILON, seed=0)
    assert weights_hash(baseline) == before and baseline.training
    assert all(p.requires_grad and p.grad is None for p in baseline.parameters())


def test_without_a_baseline_there_is_only_the_geometric_set(tmp_path, split):
    build(tmp_path / "sets", split, True, None, EPSILON, seed=0)
    sets = load(tmp_path / "sets", split)
    assert sets.transfer is None and sets.fgsm_transfer is None
    assert not (tmp_path / "sets/transfer.npy").exists()


@pytest.mark.parametrize("name", ["geometric", "transfer", "fgsm_transfer", "labels"])
def test_refuses_a_changed_or_missing_file(folder, split, name):
    path = folder / f"{name}.npy"
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(changed)
    with pytest.raises(GratisError, match=f"{name}.npy: was changed.*; delete the folder {folder}"):
        load(folder, split)
    path.unlink()
    with pytest.raises(
        GratisError, match=f"{name}.npy: cannot be read.*; delete the folder {folder}"
    ):
        load(folder, split)


def _edit_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "changes, problem",
    [({"format": 1}, "format"), ({"files": {}}, "must list"), ({"epsilon": 9}, "epsilon")],
)
def test_refuses_a_manifest_of_another_kind(folder, split, changes, problem):
    _edit_manifest(folder, **changes)
    with pytest.raises(GratisError, match=f"{problem}.*; delete the folder {folder} and build"):
        load(folder, split)


def test_made_from_compares_weights_epsilon_and_images(folder, split, baseline, tmp_path):
    assert made_from(folder, baseline, EPSILON, split)
    assert not made_from(folder, baseline, 4 / 255, split)
    assert not made_from(folder, baseline, EPSILON, Split(split.images, split.labels[::-1].copy()))
    with torch.no_grad():
        baseline[1].weight[0, 0] += 1e-6
    assert not made_from(folder, baseline, EPSILON, split)
    assert not made_from(tmp_path / "nowhere", baseline, EPSILON, split)
    build(folder, split, True, None, EPSILON, seed=0)
    assert not made_from(folder, baseline, EPSILON, split)
    (folder / "manifest.json").write_text("{")
    for ask in (lambda: made_from(folder, baseline, EPSILON, split), lambda: load(folder, split)):
        with pytest.raises(
            GratisError, match=f"manifest.json: is not.*; delete the folder {folder}"
        ):
            ask()


def test_refuses_a_pickle_even_if_the_manifest_has_its_digest(folder, split):
    path = folder / "geometric.npy"
    for payload in (pickle.dumps({"a": 1}), None):
        if payload is None:
            np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        else:
            path.write_bytes(payload)
        files = json.loads((folder / "manifest.json").read_text())["files"]
        _edit_manifest(folder, files=files | {"geometric": file_digest(path)})
        with pytest.raises(GratisError, match=r"geometric\.npy: cannot be read"):
            load(folder, split)


def test_refuses_another_validation_split(folder, split):
    images = split.images.copy()
    images[5, 0, 0, 0] ^= 1
    labels = split.labels.copy()
    labels[5] = (labels[5] + 1) % 3
    for other in (Split(images, split.labels), Split(split.images, labels)):
        with pytest.raises(GratisError, match="another validation split"):
            load(folder, other)


def test_missing_folder_is_one_clear_line(tmp_path, split):
    with pytest.raises(GratisError, match=r"manifest\.json: does not exist"):
        load(tmp_path / "nowhere", split)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, RuntimeError])
def test_interrupted_build_leaves_nothing_and_keeps_what_was(
    tmp_path, split, folder, monkeypatch, interrupt
):
    def fail(*_):
        raise interrupt

    before = content(folder)
    monkeypatch.setattr(building, "split_hash", fail)
    for target in (folder, tmp_path / "new"):
        with pytest.raises(interrupt):
            build(target, split, True, None, EPSILON, seed=0)
    assert content(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["sets"]


def test_a_second_build_replaces_the_first(tmp_path, split, folder):
    (tmp_path / ".sets.1234.partial").mkdir()  # a build that was killed
    os.utime(tmp_path / ".sets.1234.partial", (0, 0))
    build(folder, split, True, None, EPSILON, seed=0)
    assert load(folder, split).transfer is None
    assert [path.name for path in tmp_path.iterdir()] == ["sets"]


def test_a_folder_with_other_files_is_never_replaced(tmp_path, split):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(GratisError, match=r"already holds thesis\.tex"):
        build(tmp_path, split, True, None, EPSILON, seed=0)
    with pytest.raises(GratisError, match="not a folder"):
        build(tmp_path / "thesis.tex", split, True, None, EPSILON, seed=0)


def test_nothing_is_mirrored_where_mirrors_is_false(tmp_path, split):
    build(tmp_path / "sets", split, False, None, EPSILON, seed=0)
    geometry = load(tmp_path / "sets", split).manifest.geometry
    assert not any(draw(geometry, 0, index).mirrored for index in range(500))
    share = np.mean([draw(Geometry(), 0, index).mirrored for index in range(500)])
    assert 0.4 < share < 0.6


def test_noise_fills_its_ranges():
    noises = [draw(Geometry(), 0, index) for index in range(500)]
    for values, low, high in (
        ([n.angle for n in noises], -20, 20),
        ([n.scale for n in noises], 0.85, 1.15),
        ([s for n in noises for s in n.shift], -0.1, 0.1),
        ([n.hue for n in noises], -0.1, 0.1),
        ([n.saturation for n in noises], 0.7, 1.3),
        ([n.brightness for n in noises], 0.7, 1.3),
        ([n.contrast for n in noises], 0.7, 1.3),
    ):
        spread = high - low
        assert low <= min(values) < low + spread / 20 and high - spread / 20 < max(values) <= high


def test_no_noise_is_the_identity_and_each_transform_does_its_own(split):
    image = split.images[0]
    np.testing.assert_array_equal(apply(image, UNCHANGED), image)
    np.testing.assert_array_equal(apply(image, UNCHANGED._replace(mirrored=True)), image[:, ::-1])
    shifted = apply(
        image, UNCHANGED._replace(shift=(0.125, 0.0))
    )  # one pixel of eight, to the right
    np.testing.assert_array_equal(shifted[:, 1:], image[:, :-1])
    darker = apply(image, UNCHANGED._replace(brightness=0.7))
    np.testing.assert_allclose(darker, image * 0.7, atol=0.51)


@pytest.mark.parametrize("epsilon", [0.0, 1 / 255, 8 / 255, 38 / 255, 0.03])
def test_quantised_attacks_stay_within_epsilon(split, epsilon):
    signs = torch.from_numpy(np.sign(split.images.astype(np.float32) - 128))
    pixels = torch.from_numpy(split.images).float() / 255
    adversarial = (pixels + epsilon * signs).clamp(0, 1).permute(0, 3, 1, 2)
    stored = quantise(split.images, adversarial, epsilon)
    change = abs(stored.astype(int) - split.images)
    assert change.max() == int(epsilon * 255 + 1e-6)


def test_the_number_of_threads_changes_nothing_and_is_restored():
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    before = torch.get_num_threads()
    made = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made.append(noisy(images, Geometry(), 0, 0))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*made)
