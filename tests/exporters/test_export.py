"""What each kind of export can express, what it refuses, and how its files are written."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save

import gratis
from gratis.data import to_float
from gratis.errors import GratisError
from gratis.exporters import ENDINGS, EXPORTERS, Content, kind_of
from gratis.exporters.content import TOLERANCE
from gratis.model.stored_facts import read_facts
from gratis.run import load_run


def test_denoiser_and_head_are_exported(paper_run, tmp_path):
    model, images = gratis.load(paper_run), torch.rand(3, 3, 8, 8)
    with torch.no_grad():
        expected = model(images)
    gratis.export(paper_run, tmp_path / "digits.onnx")
    gratis.export(paper_run, tmp_path / "digits.pt2")
    onnx = gratis.load(tmp_path / "digits.onnx")
    torch.testing.assert_close(onnx(images), expected, atol=1e-4, rtol=0)
    assert onnx.classes == model.classes and onnx.image_size == 8
    graph = torch.export.load(tmp_path / "digits.pt2").module()
    torch.testing.assert_close(graph(images), expected, atol=1e-4, rtol=0)


def test_timm_refuses_what_it_cannot_express(paper_run, tmp_path):
    with pytest.raises(GratisError, match="head with hidden layers; export it as onnx"):
        gratis.export(paper_run, tmp_path / "digits", to="timm")
    assert not list(tmp_path.iterdir())


def test_an_export_that_computes_something_else_is_not_written(paper_run, tmp_path, monkeypatch):
    path = tmp_path / "digits.safetensors"
    path.write_bytes(b"the earlier file")

    def damaged(tensors, metadata):
        first = next(iter(tensors))
        return save(tensors | {first: tensors[first] + 0.5}, metadata)

    monkeypatch.setattr("gratis.exporters.state_dict.save", damaged)
    with pytest.raises(GratisError, match="logits differ by"):
        gratis.export(paper_run, path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"the earlier file"


@pytest.mark.parametrize("off", [0.5 * TOLERANCE, 2 * TOLERANCE, float("nan")])
def test_the_check_knows_its_tolerance(off):
    class Twice(torch.nn.Module):
        def forward(self, images):
            return images.mean((2, 3))

    content = Content(Twice(), torch.rand(7, 3, 4, 4), None, {})
    if off == 0.5 * TOLERANCE:
        content.check(lambda images: images.mean((2, 3)) + off, "it")
    else:
        with pytest.raises(GratisError, match="it: its logits differ"):
            content.check(lambda images: images.mean((2, 3)) + off, "it")


def test_links_are_replaced_and_not_followed(paper_run, tmp_path):
    (tmp_path / "precious").write_text("precious")
    link = tmp_path / "digits.safetensors"
    link.symlink_to(tmp_path / "precious")
    gratis.export(paper_run, link)
    assert (tmp_path / "precious").read_text() == "precious"
    assert not link.is_symlink() and "head.classes.weight" in load_file(link)


def test_a_script_of_the_users_own_is_kept(paper_run, tmp_path):
    (tmp_path / "load_digits.py").write_text("mine")
    with pytest.raises(GratisError, match=r"load_digits\.py: exists already"):
        gratis.export(paper_run, tmp_path / "digits.safetensors")
    assert (tmp_path / "load_digits.py").read_text() == "mine"
    assert not (tmp_path / "digits.safetensors").exists()


def test_a_folder_with_other_files_is_kept(photo_run, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(GratisError, match=r"already holds mine\.txt"):
        gratis.export(photo_run, tmp_path, to="timm")


def test_without_its_data_an_export_is_checked_on_random_images(photo_run, tmp_path, caplog):
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    caplog.set_level("INFO")
    gratis.export(photo_run, tmp_path / "photos.safetensors", data_root=nowhere)
    assert "checked on random images" in caplog.text and str(nowhere) in caplog.text
    assert "checked on 32 random images: logits within" in caplog.text
    assert "the accuracy is not compared" in caplog.text


def test_the_accuracy_on_validation_images_is_compared(photo_run, tmp_path, caplog):
    caplog.set_level("INFO")
    gratis.export(photo_run, tmp_path / "photos.safetensors")
    split = load_run(photo_run.path)[3].validation
    with torch.no_grad():
        predicted = gratis.load(photo_run)(to_float(split.images, "cpu")).argmax(1).numpy()
    accuracy = f"{(predicted == split.labels).mean():.1%}"
    checked = f"checked on {len(split)} validation images: logits within "
    assert checked in caplog.text and f"; accuracy {accuracy} like the model" in caplog.text


def test_another_accuracy_is_told(caplog):
    caplog.set_level("INFO")
    first = torch.tensor([[0.5, 0.5 - 1e-6]])
    images, labels = torch.zeros(1, 3, 4, 4), torch.tensor([0])
    content = Content(torch.nn.Flatten(), images, labels, {})
    content.__dict__["logits"] = first
    content.check(lambda images: first.flip(1), "it")
    assert "1 of 1 classes differ; accuracy 0.0%, the model 100.0%" in caplog.text


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        ("pets", None, "does not say what to write"),
        ("pets.pt", None, "does not say what to write"),
        ("pets.onnx", "torch-export", r"ends in \.pt2"),
        ("pets.onnx", "onxn", "did you mean 'onnx'"),
    ],
)
def test_a_wrong_kind_is_one_line(path, kind, expected, tmp_path):
    with pytest.raises(GratisError, match=expected):
        kind_of(tmp_path / path, kind)


def test_kinds_and_endings_agree():
    assert list(EXPORTERS) == list(ENDINGS)


def test_the_command_says_where_it_wrote(within, paper_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, streams = within("export", paper_run.path, "--to", "state-dict", "--quiet")
    assert code == 0 and streams.out == "paper.safetensors\n"
    code, streams = within("export", paper_run.path)
    assert code == 2 and "--to" in streams.err and len(streams.err.splitlines()) == 1
    code, streams = within("export", tmp_path, "--to", "onnx")
    assert code == 2 and "not a run folder" in streams.err


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"gratis.classes": "[" * 10**5},
        {"gratis.classes": '["a", "b"]', "gratis.image_size": "-1"},
        {"gratis.classes": '["a\\u001b[31m", "b"]', "gratis.image_size": "8"},
        {"gratis.classes": '["a", "b"]', "gratis.image_size": "8", "gratis.resize": '"no"'},
    ],
)
def test_odd_metadata_is_ignored(metadata):
    assert read_facts(metadata) is None


def test_python_exports_runs_only():
    with pytest.raises(GratisError, match="only runs"):
        gratis.export("model.onnx", "other.onnx")


def digit_folders(root, names):
    """A folder of two images of 16 pixels for each of the names."""
    for label, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for number in range(2):
            pixels = np.full((16, 16, 3), 20 * label + number, dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return f"folder:{root}"


def test_an_exported_file_is_measured_on_images_as_in_training(paper_run, tmp_path, monkeypatch):
    monkeypatch.setenv("GRATIS_CACHE", str(tmp_path / "cache"))
    gratis.export(paper_run, tmp_path / "digits.onnx")
    digits = digit_folders(tmp_path / "digits", "0123456789")
    found = gratis.evaluate(tmp_path / "digits.onnx", digits, out=tmp_path / "out")
    assert found.image_size == 8
    module = gratis.load(tmp_path / "digits.onnx")
    assert gratis.evaluate(module, digits, suite="transfer").image_size == 8
    with pytest.raises(GratisError, match=r"trained on other classes \('0' where the data has"):
        gratis.evaluate(module, digit_folders(tmp_path / "letters", "abcdefghij"), suite="paper")
