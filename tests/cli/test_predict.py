"""Images go in, classes come out: on the command line and in Python, whatever the image's mode."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gratis
from gratis.data import load, read_image, to_float
from gratis.errors import GratisError

TINY = [
    *("model.channels=[8,8,8,8]", "model.head.layers=0", "train.epochs=15", "train.batch_size=32"),
    *("evaluate.images=30", "evaluate.pgd_steps=1", "data.classes=4"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_imagenet):
    """A run on four classes of real images, which pads images that are not square."""
    folder = tmp_path_factory.mktemp("predict") / "run"
    overrides = [*TINY, "data.resize=pad"]
    return gratis.train(
        "resnet18",
        data="tiny-imagenet",
        data_root=tiny_imagenet,
        profile="tiny-imagenet-small",
        out=folder,
        overrides=overrides,
    )


@pytest.fixture(scope="module")
def files(tiny_imagenet):
    """The validation images of the run's classes, in the order of the data set."""
    root = tiny_imagenet / "tiny-imagenet-200"
    wnids = (root / "wnids.txt").read_text().split()[:4]
    lines = (root / "val" / "val_annotations.txt").read_text().splitlines()
    pairs = [line.split("\t")[:2] for line in lines]
    return [root / "val" / "images" / name for name, wnid in pairs if wnid in wnids]


@pytest.fixture(scope="module")
def photo(tmp_path_factory, files):
    """A photograph that is not square and has as many greys as colours."""
    image = Image.open(files[0]).convert("L").resize((90, 60))
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    image.save(path)
    return path


def command(*arguments, **options):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "80"}
    options = {"capture_output": True, "text": True, "env": environment, "timeout": 200} | options
    return subprocess.run(
        [sys.executable, "-m", "gratis.cli", "predict", *map(str, arguments)],
        check=False,
        **options,
    )


def test_files_are_prepared_as_in_training(run, files, tiny_imagenet):
    settings = run.recipe().data
    assert settings.root == tiny_imagenet
    split = load(settings).validation
    model = gratis.load(run)
    with torch.no_grad():
        expected = model(to_float(split.images, "cpu")).softmax(1)
    found = gratis.predict(run, files)
    assert [p.path for p in found] == files and len(found) == len(split)
    shares = torch.tensor([[dict(p.top)[name] for name in model.classes] for p in found])
    torch.testing.assert_close(shares, expected, atol=1e-5, rtol=0)
    assert len({p.name for p in found}) > 1


def test_the_settings_of_the_data_travel_with_the_model(run, photo):
    model = gratis.load(run)
    assert (model.image_size, model.resize, model.white_level) == (32, "pad", None)
    pixels = read_image(photo, 32, "pad")
    assert not np.array_equal(pixels, read_image(photo, 32, "crop"))
    (found,) = gratis.predict(model, photo)
    (expected,) = gratis.predict(model, to_float(torch.from_numpy(pixels.copy())[None], "cpu"))
    assert found == expected._replace(path=photo)


def variants(photo, folder):
    """Write the same picture in other modes, without loss."""
    grey = Image.open(photo)
    sideways = grey.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    rgba = grey.convert("RGBA")
    grey.convert("RGB").save(folder / "rgb.png")
    grey.convert("P").save(folder / "palette.png")
    rgba.save(folder / "rgba.png")
    grey.convert("LA").save(folder / "grey and alpha.png")
    deep.save(folder / "deep.png")
    grey.convert("RGB").convert("CMYK").save(folder / "cmyk.tif")
    sideways.save(folder / "sideways.png", exif=exif)
    grey.convert("RGB").save(folder / "bitmap.bmp")
    return sorted(path for path in folder.iterdir())


def test_the_same_picture_in_any_mode_has_the_same_class(run, photo, tmp_path):
    paths = variants(photo, tmp_path)
    assert len(paths) == 8
    model = gratis.load(run)
    (expected,) = gratis.predict(model, photo)
    for found in gratis.predict(model, tmp_path):
        assert found.name == expected.name, found.path
        assert found.confidence == pytest.approx(expected.confidence, abs=1e-5), found.path


def test_a_table_of_files_folders_and_a_list_fits_80_columns(run, files, photo, tmp_path):
    listed = "\n".join([files[1].name, "", files[2].name]) + "\n"
    done = command(
        *(run.path.absolute(), photo.parent, files[0], "-"), input=listed, cwd=files[0].parent
    )
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert all(path.name in done.stdout for path in files[1:3])


def test_images_of_one_folder_are_shown_by_name(within, run, files):
    code, streams = within("predict", run.path, *files[:2])
    assert code == 0 and streams.out.count(files[0].parent.name) == 1
    assert all(f" {path.name} " in streams.out for path in files[:2])


def test_a_broken_file_is_one_line_and_the_rest_go_on(within, run, files, tmp_path):
    broken, missing = tmp_path / "broken.png", tmp_path / "missing.png"
    broken.write_bytes(files[0].read_bytes()[:100])
    (tmp_path / "empty").mkdir()
    order = [files[0], broken, tmp_path / "empty", files[1], missing]
    code, streams = within("predict", run.path, *order, "--json", "--quiet")
    assert code == 1
    assert [Path(each["image"]) for each in json.loads(streams.out)] == [files[0], files[1]]
    lines = streams.err.splitlines()
    assert len(lines) == 3 and all(line.startswith("error: ") for line in lines)
    for path in (broken, missing, tmp_path / "empty"):
        assert sum(f"{path}: " in line for line in lines) == 1


def test_files_of_a_folder_that_are_left_out_are_counted(within, run, files, tmp_path):
    shutil.copy(files[0], tmp_path)
    for name in ("notes.txt", "a.heic", "b.heic"):
        (tmp_path / name).write_text("no image")
    code, streams = within("predict", run.path, tmp_path, "--json")
    assert code == 0 and len(json.loads(streams.out)) == 1
    assert f"{tmp_path}: not read: 2 .heic, 1 .txt; convert them to JPEG" in streams.err


def test_nothing_but_broken_files_prints_no_table(within, run, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    code, streams = within("predict", run.path, tmp_path / "a.png")
    assert code == 1 and not streams.out and "a.png" in streams.err


def test_csv_and_json_say_the_same_as_python(within, run, files):
    expected = gratis.predict(run, files[:5], top=3)
    code, streams = within("predict", run.path, *files[:5], "--csv", "--top", 3, "--quiet")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(streams.out)))
    code, streams = within("predict", run.path, *files[:5], "--json", "--top", 3, "--quiet")
    assert code == 0
    objects = json.loads(streams.out)
    for prediction, row, found in zip(expected, rows, objects, strict=True):
        assert row["image"] == found["image"] == str(prediction.path)
        assert row["class"] == found["class"] == prediction.name
        assert row["class_3"] == prediction.top[2][0] == found["top"][2]["class"]
        assert float(row["confidence"]) == pytest.approx(prediction.confidence, abs=1e-5)
        assert found["confidence"] == pytest.approx(prediction.confidence, abs=1e-5)


def test_an_attack_is_that_of_gratis_attack_on_the_predicted_class(within, run, files):
    model = gratis.load(run)
    arrays = [read_image(file, 32, "pad") for file in files[:20]]
    images = to_float(np.stack(arrays), "cpu")
    with torch.no_grad():
        predicted = model(images).argmax(1)
    attacked = gratis.attack(model, images, predicted, "pgd", epsilon="16/255")
    with torch.no_grad():
        expected = [model.classes[place] for place in model(attacked).argmax(1)]
    found = gratis.predict(model, files[:20], attack="pgd", epsilon="16/255")
    assert [p.attacked.name for p in found] == expected
    assert any(p.attacked.name != p.name for p in found)
    options = ["--attack", "pgd", "--epsilon", "16/255", "--quiet"]
    code, streams = within("predict", run.path, *files[:20], *options, "--json")
    assert code == 0
    assert [each["attacked"]["class"] for each in json.loads(streams.out)] == expected
    code, streams = within("predict", run.path, *files[:20], *options, "--csv")
    rows = list(csv.DictReader(io.StringIO(streams.out)))
    assert [row["class_attacked"] for row in rows] == expected
    assert {row["attack"] for row in rows} == {"pgd 16/255"}
    code, streams = within("predict", run.path, files[0], *options)
    assert code == 0 and "under pgd" in streams.out


def test_names_from_outside_do_not_control_the_terminal(within, run, files, tmp_path):
    path = tmp_path / "a\x1b[31m[bold].png"
    path.write_bytes(files[0].read_bytes())
    code, streams = within("predict", run.path, path)
    assert code == 0 and "\x1b[31m" not in streams.out
    assert "[bold]" in "".join(streams.out.split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--attack", "pgd"], "--attack: needs --epsilon too"),
        (["--epsilon", "4/255"], "epsilon"),
        (["--attack", "pdg", "--epsilon", "4/255"], "'pdg' is unknown"),
        (["--attack", "pgd", "--epsilon", "8"], "at most 1"),
        (["--csv", "--json"], "choose one"),
        (["--size", "32"], "leave it out"),
    ],
)
def test_wrong_arguments_are_one_line(within, run, files, arguments, expected):
    code, streams = within("predict", run.path, files[0], *arguments)
    assert code == 2 and expected in streams.err and len(streams.err.splitlines()) == 1


def test_dark_deep_images_are_read_with_the_value_of_white(within, run, photo, tmp_path):
    dark = Image.fromarray(np.asarray(Image.open(photo)).astype(np.uint16) * 10)
    dark.save(tmp_path / "dark.png")
    code, streams = within("predict", run.path, tmp_path / "dark.png")
    assert code == 1 and "--white-level" in streams.err
    code, _ = within("predict", run.path, tmp_path / "dark.png", "--white-level", "2550")
    assert code == 0
    (found,) = gratis.predict(run, tmp_path / "dark.png", white_level=2550)
    (expected,) = gratis.predict(run, photo)
    assert found.confidence == pytest.approx(expected.confidence, abs=1e-5)


def test_python_refuses_what_does_not_apply(run, files, images_of_a_model):
    model = gratis.load(run)
    with pytest.raises(GratisError, match="files only"):
        gratis.predict(model, images_of_a_model, size=64)
    with pytest.raises(GratisError, match="at least 1"):
        gratis.predict(model, files[0], top=0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 4))
    with pytest.raises(GratisError, match="how large its images are"):
        gratis.predict(network, files[0])
    (found,) = gratis.predict(network, files[0], size=16)
    assert found.name in {"0", "1", "2", "3"}


@pytest.fixture
def images_of_a_model():
    return torch.rand(2, 3, 64, 64)
