"""What is shared shows nothing of the user's images and folders, and only results that hold."""

import json
import re
from base64 import b64encode
from pathlib import Path

import pytest
import yaml

import gratis
from gratis.errors import GratisError
from gratis.report import read_runs
from gratis.report.gallery import gallery
from gratis.run.shared_folder import check, write_manifest
from gratis.run.sharing import stage
from gratis.run.sources import ModelSource
from gratis.run.verification import verify

NAME = "me/digits"
TINY = ["model.channels=[8,8,8,8]", "model.head.width=16", "train.epochs=1", "evaluate.pgd_steps=1"]
FEW = ["evaluate.images=30", "evaluate.pgd_steps=1"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("zaphod-home")


@pytest.fixture(scope="module")
def run(home):
    return gratis.train("resnet18", data="digits", out=home / "first", overrides=[*TINY, *FEW])


@pytest.fixture(scope="module")
def started(run, home):
    """A run that starts from a file of weights."""
    weights = run.path / "checkpoint.safetensors"
    options = {"weights": weights, "data": "digits", "out": home / "second"}
    return gratis.train("resnet18", overrides=["train.epochs=1", *FEW], **options)


@pytest.fixture(scope="module")
def hardened(run, home):
    options = {"data": "digits", "epsilon": "8/255", "budget": "1s", "out": home / "third"}
    return gratis.harden(str(run.path.absolute()), overrides=FEW, **options)


@pytest.fixture
def shared(run, tmp_path):
    stage(run.path, NAME, "apache-2.0", tmp_path / "shared")
    return tmp_path / "shared"


def pictures(run):
    (found,) = read_runs([run.path]).runs
    lines = gallery("x", "x", found.sample_images)["lines"]
    pngs = [picture.png for _, of_line in lines for picture in of_line]
    assert pngs
    return [b64encode(png).decode() for png in pngs]


def test_validation_images_stay_here_unless_asked_for(run, shared, tmp_path):
    stage(run.path, NAME, "apache-2.0", tmp_path / "open", images=True)
    private, public = ((tmp_path / f / "report.html").read_text() for f in ("shared", "open"))
    assert not any(picture in private for picture in pictures(run))
    assert all(picture in public for picture in pictures(run))
    assert "validation image " not in private and "validation image " in public


@pytest.mark.parametrize("options", [(), ("--images",)])
def test_the_command_asks_for_images(run, monkeypatch, within, options):
    asked = []
    monkeypatch.setattr("gratis.run.sharing.push_run", lambda *given: asked.append(given) or "done")
    code, _ = within("push", run.path, NAME, *options)
    assert code == 0 and asked == [(run.path, NAME, "unknown", False, bool(options))]


@pytest.mark.parametrize("which", ["run", "started", "hardened"])
@pytest.mark.parametrize("images", [False, True])
def test_no_folder_of_this_machine_in_any_form(which, images, request, home, tmp_path):
    stage(request.getfixturevalue(which).path, NAME, "unknown", tmp_path / "out", images)
    parts = [re.escape(part.strip("/")).encode() for part in home.parts[1:] if len(part) > 4]
    traces = re.compile(b"|".join([b"zaphod", b"pytest-of", *parts]), re.IGNORECASE)
    for file in (tmp_path / "out").iterdir():
        assert not traces.search(file.read_bytes()), file.name
    check(tmp_path / "out")


def test_what_a_run_started_from_is_named_without_its_folder(started, hardened, tmp_path):
    assert Path(started.results().start.file).is_absolute()
    stage(started.path, NAME, "unknown", tmp_path / "out")
    start = json.loads((tmp_path / "out" / "results.json").read_text())["start"]
    assert start["file"] == "checkpoint.safetensors" and start["sha256"]
    assert hardened.recipe().name == "harden-first"
    assert hardened.recipe().title == "first, hardened"


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/home/zaphod/run/", "run"),
        ("../zaphod/run", "run"),
        ("local-dir:/home/zaphod/vit", "vit"),
        ("/home/zaphod/net.onnx", "net"),
        ("hub:me/digits", "hub-me-digits"),
        ("hf-hub:timm/vit", "hf-hub-timm-vit"),
        ("resnet18.a1_in1k", "resnet18.a1_in1k"),
        ("nets.small:build", "nets.small-build"),
        ("..", "model"),
        ("/", "model"),
    ],
)
def test_a_model_is_named_without_its_folder(target, name):
    assert ModelSource(target).name == name


def change(file, edit):
    read, write = yaml.safe_load, yaml.safe_dump
    if file.suffix == ".json":
        read, write = json.loads, json.dumps
    content = read(file.read_text())
    edit(content)
    file.write_text(write(content))


def set_recipe(section, key, value):
    return "recipe.yaml", lambda recipe: recipe[section].update({key: value})


EPSILON = set_recipe("evaluate", "epsilon", 1 / 255)
OTHERS = [
    EPSILON,
    set_recipe("evaluate", "suite", "autoattack"),
    set_recipe("data", "classes", 5),
    ("recipe.yaml", lambda recipe: recipe.update(seed=7)),
    ("results.json", lambda results: results.update(epsilon=8 / 255)),
    ("results.json", lambda results: results.update(pgd_steps=50)),
    ("results.json", lambda results: results["resolved"]["evaluate"].update(epsilon=8 / 255)),
    ("results.json", lambda results: results["resolved"].pop("seed")),
]


@pytest.mark.parametrize(("file", "edit"), OTHERS)
def test_results_of_other_settings_than_the_recipe_are_refused(shared, file, edit):
    change(shared / file, edit)
    write_manifest(shared, NAME, "unknown")
    for use in (check, verify):
        with pytest.raises(GratisError, match=r"results\.json: ") as refused:
            use(shared)
        assert len(str(refused.value).splitlines()) == 1


def copied(run, folder):
    """A copy of a run, without what is in its folders."""
    folder.mkdir()
    for file in run.path.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_a_run_whose_settings_changed_is_neither_shared_nor_verified(run, tmp_path):
    folder = copied(run, tmp_path / "run")
    stage(folder, NAME, "unknown", tmp_path / "first")
    change(folder / EPSILON[0], EPSILON[1])
    with pytest.raises(GratisError, match=r"evaluate\.epsilon was .*gratis evaluate"):
        stage(folder, NAME, "unknown", tmp_path / "second")
    assert not (tmp_path / "second").exists()
    with pytest.raises(GratisError, match=r"evaluate\.epsilon was .*gratis evaluate"):
        verify(folder)


def test_a_run_with_results_on_other_sets_is_not_shared(run, tmp_path):
    folder = copied(run, tmp_path / "run")
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "manifest.json").write_text("{}")
    note = {"sets": str(tmp_path / "sets"), "relative": "../sets", "measured": "0" * 64}
    (folder / "sets.json").write_text(json.dumps(note))
    with pytest.raises(GratisError, match=r"other perturbed sets.*gratis evaluate"):
        stage(folder, NAME, "unknown", tmp_path / "out")


def test_data_that_moved_is_the_same_data(run, tmp_path):
    folder = copied(run, tmp_path / "run")
    change(folder / "recipe.yaml", lambda recipe: recipe["data"].update(root="/elsewhere"))
    stage(folder, NAME, "unknown", tmp_path / "out")
    assert check(tmp_path / "out").name == NAME


@pytest.mark.parametrize(
    ("before", "after"),
    [(rb"\| pgd \| [\d.]+ ", word) for word in (b"| pgd | much ", b"| pgd | nan ", b"| pgd | 1,0 ")]
    + [(rb"^---", b"\xff\xfe")],
)
def test_a_malformed_card_is_one_clear_line(shared, before, after, within):
    card = shared / "README.md"
    text, times = re.subn(before, after, card.read_bytes(), count=1)
    assert times == 1
    card.write_bytes(text)
    sign(shared)
    for use in (check, verify):
        with pytest.raises(GratisError, match=r"README\.md: ") as refused:
            use(shared)
        assert len(str(refused.value).splitlines()) == 1
    code, streams = within("verify", shared)
    assert code == 2 and "README.md" in streams.err and "Traceback" not in streams.err


def sign(folder):
    """Write a checksum of the card that matches."""
    from gratis.digests import file_digest

    change(
        folder / "gratis.json",
        lambda manifest: manifest["files"].update({"README.md": file_digest(folder / "README.md")}),
    )
