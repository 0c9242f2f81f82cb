"""Any model on any form of data: the same numbers, or one clear line."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import digits_models
import gratis
from gratis.api.training import default_folder
from gratis.data import DataSettings
from gratis.errors import GratisError
from gratis.recipe import resolve
from gratis.results import Results

FEW = {"epsilon": "38/255", "pgd_steps": 2, "images": 60}
METRICS = ("clean", "fgsm", "pgd")


def figures(results):
    return [getattr(results, metric) for metric in METRICS]


@pytest.fixture(scope="module")
def expected():
    return figures(gratis.evaluate(digits_models.natural(), "digits", **FEW))


FORMS = {
    "tensors": lambda x, y: (x, y),
    "bfloat16 labels apart": lambda x, y: (x.double(), y.int()),
    "arrays": lambda x, y: (x.numpy(), y.numpy()),
    "a pair": lambda x, y: ((x, y),),
    "bytes, channels last": lambda x, y: (
        (x * 255).round().byte().permute(0, 2, 3, 1).numpy(),
        y.tolist(),
    ),
    "bytes, channels first": lambda x, y: ((x * 255).round().byte(), y),
    "a loader": lambda x, y: (DataLoader(TensorDataset(x, y), batch_size=50),),
    "a torch data set": lambda x, y: (TensorDataset(x, y),),
    "a list of batches": lambda x, y: ([(x[:100], y[:100]), (x[100:], y[100:])],),
    "a split": lambda x, y: (digits_models.digits().validation,),
    "a data set": lambda x, y: (digits_models.digits(),),
    "settings": lambda x, y: (DataSettings(name="digits", size=8),),
}


@pytest.mark.parametrize("form", FORMS)
def test_data_in_every_form_gives_the_same_figures(form, images, labels, expected):
    data = FORMS[form](images, labels)
    assert figures(gratis.evaluate(digits_models.natural(), *data, **FEW)) == expected


def nan(images):
    return torch.where(torch.arange(8) == 3, torch.nan, images)


WRONG = {
    "normalised": (lambda x, y: (2 * x - 1, y), r"values in \[0, 1\], not -1 to 1; leave out norm"),
    "0 to 255": (lambda x, y: (255 * x, y), r"values in \[0, 1\], not 0 to 255"),
    "NaN": (lambda x, y: (nan(x), y), r"values in \[0, 1\], not nan"),
    "grey": (lambda x, y: (x[:, :1], y), "three channels"),
    "no batch": (lambda x, y: (x[0], y), r"shape \(n, 3, height, width\)"),
    "whole numbers": (lambda x, y: ((255 * x).int(), y), "not int32"),
    "labels as floats": (lambda x, y: (x, y.float()), "labels: needs whole numbers"),
    "one-hot labels": (lambda x, y: (x, nn.functional.one_hot(y)), "labels: needs whole numbers"),
    "fewer labels": (lambda x, y: (x, y[:5]), "labels: there are 5 of them and 360 images"),
    "a negative label": (lambda x, y: (x, y - 1), "labels: -1 is below 0"),
    "a label too many": (lambda x, y: (x, y + 1), "labels: 10 is not below the number of classes"),
    "no labels": (lambda x, y: (x,), "images need labels"),
    "labels twice": (lambda x, y: ("digits", y), "this data has its own"),
    "an empty loader": (lambda x, y: ([],), "gives no images"),
    "images of two sizes": (lambda x, y: ([(x, y), (x[..., 1:], y)],), "differ in size"),
    "a loader of images": (lambda x, y: ([x],), "does not give .images, labels. as tensors"),
    "no data": (lambda x, y: (), "name the data to measure on"),
    "a folder": (lambda x, y: ("/tmp",), "/tmp: is a folder; write folder:/tmp"),
    "unknown data": (lambda x, y: ("digit",), "unknown data 'digit'; did you mean 'digits'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_data_is_refused_in_one_line(case, images, labels):
    make, message = WRONG[case]
    with pytest.raises(GratisError, match=message) as refused:
        gratis.evaluate(digits_models.natural(), *make(images, labels), **FEW)
    assert "\n" not in str(refused.value)


def test_a_run_keeps_its_record_and_is_measured_on_other_images(run, images, labels, tmp_path):
    record = (run.path / "results.json").read_bytes()
    again = gratis.evaluate(run)
    assert again == run.results() and (run.path / "results.json").read_bytes() == record
    other = gratis.evaluate(run, epsilon="2/255")
    assert other.epsilon == pytest.approx(2 / 255) and other.n == again.n
    assert (run.path / "results.json").read_bytes() == record
    beside = gratis.evaluate(run, out=tmp_path / "out", epsilon="2/255")
    assert Results.read(tmp_path / "out" / "results.json") == beside
    assert figures(beside) == figures(other)
    given = gratis.evaluate(run, images, labels, out=tmp_path / "images", pgd_steps=2, images=40)
    assert given.clean == again.clean and given.external
    named = gratis.evaluate(str(run.path), "digits", out=tmp_path / "named", images=40)
    assert named.clean == again.clean


def test_arguments_that_do_not_apply_are_refused(run, tmp_path, images, labels):
    module = digits_models.natural()
    for wrong in (
        lambda: gratis.evaluate(module, "digits", weights="w.pt"),
        lambda: gratis.evaluate(module, "digits", input_size=8),
        lambda: gratis.evaluate(run, seed=3),
        lambda: gratis.evaluate(run, labels=labels),
        lambda: gratis.evaluate(module, "digits", classes=10),
        lambda: gratis.evaluate(run, input_size=8),
        lambda: gratis.evaluate(run, classes=10),
        lambda: gratis.evaluate(run, "digits", input_size=8),
        lambda: gratis.load(run, classes=10),
        lambda: gratis.load(run, input_size=8),
    ):
        with pytest.raises(GratisError):
            wrong()
    with pytest.raises(GratisError, match="evaluate: suite"):
        gratis.evaluate(module, "digits", suite="standards")
    with pytest.raises(GratisError, match="unknown key; did you mean 'epsilon'"):
        gratis.evaluate(module, "digits", epsilons_=1, epsilo=1)
    with pytest.raises(GratisError, match="is the folder of a run"):
        gratis.evaluate(module, images, labels, out=run.path)


def test_a_run_trained_on_other_classes_is_refused(run, tmp_path):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            Image.fromarray(pixels).save(tmp_path / part / name / "a.png")
    with pytest.raises(GratisError, match=r"was trained on other classes .'0' where .* 'cat'"):
        gratis.evaluate(run, f"folder:{tmp_path}", out=tmp_path / "out")


def test_where_the_data_has_gone_the_run_still_loads(run, tmp_path, monkeypatch, images):
    from gratis.run import loading

    def gone(settings):
        raise AssertionError("the data was read")

    monkeypatch.setattr(loading, "load_once", gone)
    model = gratis.load(run)
    assert model.classes == tuple("0123456789") and model.image_size == 8
    assert model(images[:2]).shape == (2, 10) and not model.training
    predictions = gratis.predict(run, images[:3], top=2)
    assert [p.name for p in predictions] == [str(n) for n in model(images[:3]).argmax(1).tolist()]
    assert all(len(p.top) == 2 and p.top[0] == (p.name, p.confidence) for p in predictions)


def test_a_timm_model_is_measured_on_images(images, labels, tmp_path):
    network = timm.create_model("test_resnet", num_classes=10)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    given = {"weights": tmp_path / "w.safetensors", "input_size": 32, "classes": 10}
    few = {"pgd_steps": 1, "images": 20}
    found = gratis.evaluate("test_resnet", images, labels, **given, **few)
    model = gratis.load("test_resnet", **given)
    assert found.pgd == gratis.evaluate(model, images, labels, **few).pgd
    # The weights say how many classes there are.
    del given["classes"]
    assert gratis.evaluate("test_resnet", images, labels, **given, **few).pgd == found.pgd


class Constant(nn.Module):
    """Names one class for every image; nothing but an attribute says which."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, images):
        wanted = torch.arange(10) == self.answer
        return 0 * images.mean((1, 2, 3))[:, None] + 3 * wanted


def test_models_that_differ_in_an_attribute_do_not_share_outcomes(images, labels, tmp_path):
    few = {"suite": "paper", "images": 50, "out": tmp_path / "out"}
    found = [gratis.evaluate(Constant(n), images[:60], labels[:60], **few).clean for n in (0, 3)]
    rows = torch.arange(50) * 60 // 50
    assert found == [pytest.approx((labels[rows] == n).float().mean().item()) for n in (0, 3)]
    assert found[0] != found[1]


def test_a_run_on_images_keeps_nothing_unless_asked(run, images, labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for some in (slice(0, 40), slice(40, 100)):
        gratis.evaluate(run, images[some], labels[some], pgd_steps=1)
    assert not list(tmp_path.iterdir())


def test_named_data_of_one_name_do_not_share_a_folder(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = {"images": 20, "pgd_steps": 1, "suite": "paper"}
    for _ in range(2):
        gratis.evaluate(run, "digits", **few)
    assert len(list((tmp_path / "evaluations").iterdir())) == 1


def test_other_settings_do_not_overwrite_results(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = {"images": 20, "pgd_steps": 1, "suite": "paper"}
    for images in (20, 10):
        gratis.evaluate(run, "digits", **few | {"images": images})
    found = [Results.read(file) for file in tmp_path.glob("evaluations/*/results.json")]
    assert sorted(results.n for results in found) == [10, 20]


def wide_images(folder: Path) -> str:
    """Write images whose class a crop of the middle would cut off."""
    from PIL import Image

    generator = np.random.default_rng(0)
    for part, count in (("train", 30), ("val", 20)):
        for label, name in enumerate(("left", "right", "both")):
            (folder / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 90, (16, 48, 3), dtype=np.uint8)
                pixels[:, :12] += np.uint8(150 * (label != 1))
                pixels[:, 36:] += np.uint8(150 * (label != 0))
                Image.fromarray(pixels).save(folder / part / name / f"{index}.png")
    return f"folder:{folder}"


def test_a_loaded_run_is_measured_as_the_run_on_named_data(tiny, tmp_path, monkeypatch):
    """Images are read at the size and in the way of training."""
    monkeypatch.chdir(tmp_path)
    changes = [*tiny, "data.size=16", "model.input_size=16", "data.resize=squash"]
    changes += ["model.stem=small", "train.epochs=30", "evaluate.images=60"]
    data = wide_images(tmp_path / "wide")
    trained = gratis.train("resnet18", data=data, out=tmp_path / "run", overrides=changes)
    expected = figures(Results.read(trained.results_file))
    assert expected[0] > 0.5
    assert figures(gratis.evaluate(trained, data)) == expected
    assert figures(gratis.evaluate(gratis.load(trained), data)) == expected


def test_results_print_as_one_line(run):
    shown = str(run.results())
    assert "\n" not in shown and "clean " in shown and "epsilon 38/255" in shown


def test_settings_give_the_size_of_the_images():
    settings = DataSettings(name="digits", size=16)
    model = nn.Sequential(nn.AvgPool2d(2), digits_models.natural())
    results = gratis.evaluate(model, settings, suite="paper", images=20)
    assert results.image_size == 16


def test_the_folder_of_a_run_on_photographs_is_named_after_theirs():
    recipe = resolve("free", "photos-cpu", ["data.root=/photos/pets"])
    assert default_folder(recipe) == Path("runs/free-pets-seed0")
