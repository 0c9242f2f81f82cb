"""Models go to a hub and come back: whole, or not at all."""

import hashlib
import json
import pickle
from pathlib import Path

import huggingface_hub
import pytest
import torch
import yaml

import gratis
from gratis.errors import GratisError
from gratis.run import hub as hub_module
from gratis.run.hub import local_folder
from gratis.run.shared_folder import FILES, check, write_manifest
from gratis.run.sharing import push_run, stage
from gratis.run.verification import verify
from hub_server import Hub

NAME = "me/digits"
TINY = ["model.channels=[8,8,8,8]", "model.head.width=16", "train.epochs=2", "evaluate.pgd_steps=1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("private-home") / "run"
    return gratis.train("resnet18", data="digits", out=folder, overrides=TINY)


@pytest.fixture(scope="module")
def staged(run, tmp_path_factory):
    """The files that are shared; look, and leave them as they are."""
    folder = tmp_path_factory.mktemp("staged") / "model"
    stage(run.path, NAME, "apache-2.0", folder)
    return folder


@pytest.fixture
def shared(staged, tmp_path):
    """A copy of the files that are shared."""
    folder = tmp_path / "shared"
    folder.mkdir()
    for file in staged.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub on this machine, and an empty cache."""
    hub = Hub()
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    yield hub
    hub.close()


@pytest.fixture
def filled(hub, staged):
    """The hub with the model."""
    hub.files[NAME] = {file.name: file.read_bytes() for file in staged.iterdir()}
    return hub


def test_a_pushed_model_comes_back_the_same(hub, run, within):
    code, streams = within("push", run.path, NAME, "--licence", "apache-2.0", "--quiet")
    assert code == 0 and streams.out == f"{hub.address}/{NAME}\n"
    assert set(hub.files[NAME]) == {*FILES, "gratis.json"}
    mine, theirs = gratis.load(run), gratis.load(f"hub:{NAME}")
    images = torch.rand(5, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), mine(images), atol=0, rtol=0)
    assert theirs.classes == mine.classes
    assert gratis.predict(f"hub:{NAME}", images) == gratis.predict(run, images)
    gratis.export(f"hub:{NAME}", "theirs.safetensors")
    again = gratis.load(f"hub:{NAME}@{hub.sha(NAME)}")
    assert again.image_size == mine.image_size


def test_nothing_of_this_machine_is_shared(staged, run):
    for file in staged.iterdir():
        assert str(run.path.parent).encode() not in file.read_bytes(), file.name
    assert "hub:me/digits" in (staged / "report.html").read_text()


def test_the_card_is_made_of_the_results(staged, run):
    _, metadata, card = (staged / "README.md").read_text().split("---\n", 2)
    known, results = yaml.safe_load(metadata), run.results()
    assert known["license"] == "apache-2.0" and known["library_name"] == "gratis"
    (measured,) = known["model-index"][0]["results"]
    by_name = {each["name"]: each["value"] for each in measured["metrics"]}
    assert by_name["clean"] == pytest.approx(100 * results.clean, abs=0.01)
    assert f"| pgd | {100 * results.pgd:.1f} | " in card
    assert "38/255" in card and results.commit in card and "## Intended use and limits" in card
    digest = hashlib.sha256((staged / "model.safetensors").read_bytes()).hexdigest()
    assert digest in card


def test_only_known_files_are_ever_fetched(filled, tmp_path):
    canary = tmp_path / "canary"
    filled.files[NAME]["pytorch_model.bin"] = pickle.dumps(_Canary(canary))
    filled.files[NAME]["modeling.py"] = b"raise SystemExit"
    gratis.load(f"hub:{NAME}")
    fetched = {path.rpartition("/")[2] for _, path in filled.requests if "/resolve/" in path}
    assert fetched == {*FILES, "gratis.json"} and not canary.exists()


class _Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def sign(folder):
    """Write checksums that match, as somebody who tampers with a model would."""
    manifest = json.loads((folder / "gratis.json").read_text())
    for file in FILES:
        digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        manifest["files"][file] = digest
    (folder / "gratis.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("again", [False, True])
def test_pickled_weights_are_not_executed(shared, tmp_path, again):
    canary = tmp_path / "canary"
    (shared / "model.safetensors").write_bytes(pickle.dumps(_Canary(canary)))
    if again:
        sign(shared)
    with pytest.raises(GratisError, match=r"model\.safetensors|README\.md"):
        verify(shared)
    with pytest.raises(GratisError, match=r"model\.safetensors"):
        gratis.load(shared)
    assert not canary.exists()


@pytest.mark.parametrize("file", FILES)
def test_a_tampered_file_is_found_by_its_checksum(filled, file):
    content = filled.files[NAME][file]
    middle = len(content) // 2
    filled.files[NAME][file] = (
        content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    )
    with pytest.raises(GratisError, match="differs from its checksum") as refused:
        gratis.load(f"hub:{NAME}")
    assert f"{file}: " in str(refused.value)


@pytest.mark.parametrize("file", [*FILES, "gratis.json"])
def test_a_missing_file_is_named(shared, file):
    (shared / file).unlink()
    with pytest.raises(GratisError, match=file.replace(".", r"\.")):
        check(shared)


@pytest.mark.parametrize(
    ("before", "after"), [("| clean | ", "| clean | 9"), ("no safety device", "a safety device")]
)
def test_a_card_that_says_more_than_the_results_is_found(shared, before, after):
    card = shared / "README.md"
    assert before in card.read_text()
    card.write_text(card.read_text().replace(before, after))
    sign(shared)
    with pytest.raises(GratisError, match=r"README\.md: "):
        check(shared)


def test_verify_measures_the_claims(filled, within, tmp_path):
    code, streams = within("verify", f"hub:{NAME}")
    assert code == 0, streams.err
    assert "every claim that was measured holds" in streams.out
    lines = [line.split() for line in streams.out.splitlines() if " claimed " in line]
    assert [line[0] for line in lines] == ["clean", "geometric", "fgsm", "pgd", "robust"]
    # The same images, attacks and seeds.
    assert all(line[2] == line[4] for line in lines)
    assert streams.out.startswith("measured on the same images\n")
    cache = tmp_path / "cache"
    assert not [path for path in cache.rglob("*") if path.name in ("evaluation", "geometric")]


def test_verify_finds_invented_results(shared, within):
    results = json.loads((shared / "results.json").read_text())
    results["clean"] = 0.999
    (shared / "results.json").write_text(json.dumps(results))
    write_manifest(shared, NAME, "unknown")
    check(shared)
    code, streams = within("verify", shared, "evaluate.images=100")
    assert code == 1 and "does not hold: clean" in streams.err
    assert "measured on other images than the claims, or fewer" in streams.out


def test_verify_changes_no_setting_of_the_claims(shared):
    with pytest.raises(GratisError, match=r"evaluate\.epsilon=0: .* takes evaluate\.images and"):
        verify(shared, ["evaluate.epsilon=0"])


def test_verify_measures_on_other_data_with_the_same_attacks(shared):
    found = verify(shared, ["evaluate.images=50"], ["data.name=digits"])
    names = [claim.metric for claim in found.claims]
    assert names == ["clean", "geometric", "fgsm", "pgd", "robust"]
    assert all(claim.measured is not None for claim in found.claims)
    assert not found.same_images


def test_an_evaluation_leaves_the_cache_as_it_is(filled, within, tmp_path):
    folder = local_folder(f"hub:{NAME}")
    before = sorted(folder.iterdir())
    code, _ = within("evaluate", f"hub:{NAME}", "evaluate.images=20", "--quiet")
    assert code == 0
    assert sorted(folder.iterdir()) == before
    (results,) = (tmp_path / "evaluations" / "me-digits").glob("*/results.json")
    assert json.loads(results.read_text())["n"] == 20


def test_a_network_that_is_code_is_neither_shared_nor_run(shared, tmp_path):
    recipe = yaml.safe_load((shared / "recipe.yaml").read_text())
    recipe["model"]["backbone"] = "os:getpid"
    (shared / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    sign(shared)
    with pytest.raises(GratisError, match="code is not shared"):
        check(shared)


def test_a_malformed_card_of_a_hub_is_one_line(filled):
    card = filled.files[NAME]["README.md"].replace(b"| clean | ", b"| clean | about ")
    manifest = json.loads(filled.files[NAME]["gratis.json"])
    for content in (card, b"\xff" + card):
        manifest["files"]["README.md"] = hashlib.sha256(content).hexdigest()
        signed = {"README.md": content, "gratis.json": json.dumps(manifest).encode()}
        filled.files[NAME] |= signed
        for use in (gratis.load, local_folder):
            with pytest.raises(GratisError, match=r"README\.md: ") as refused:
                use(f"hub:{NAME}")
            assert len(str(refused.value).splitlines()) == 1


def refusal(target=f"hub:{NAME}"):
    with pytest.raises(GratisError) as refused:
        local_folder(target)
    message = str(refused.value)
    assert target in message and len(message.splitlines()) == 1 and len(message) < 500
    return message


def test_a_model_that_is_not_there(filled):
    assert "no such model" in refusal("hub:me/nothing")
    assert "no such model" in refusal(f"hub:{NAME}@v9")
    assert "no such name" in refusal("hub:a b")


@pytest.mark.parametrize("status", [403, 500])
def test_a_broken_hub(filled, status):
    filled.status = status
    assert "does not answer as expected" in refusal()


def test_a_hub_that_nobody_runs(hub):
    hub.close()
    assert hub.address in refusal()


def test_a_slow_hub(filled, monkeypatch):
    monkeypatch.setattr(hub_module, "_PATIENCE", 0.2)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
    filled.delay = 1
    assert "does not answer as expected" in refusal()


@pytest.mark.parametrize("file", ["recipe.yaml", "model.safetensors", "gratis.json"])
def test_a_hub_that_sends_something_else(filled, file):
    content = filled.files[NAME][file]
    filled.body[file] = bytes(len(content))
    with pytest.raises(GratisError, match=file.replace(".", r"\.")):
        local_folder(f"hub:{NAME}")


def test_a_hub_that_sends_less(filled):
    filled.body["model.safetensors"] = b"<html>"
    with pytest.raises(GratisError):
        local_folder(f"hub:{NAME}")


def test_the_cache_serves_when_the_hub_is_gone(filled):
    folder = local_folder(f"hub:{NAME}")
    filled.close()
    assert local_folder(f"hub:{NAME}") == folder


def test_what_cannot_be_pushed(hub, run, tmp_path):
    with pytest.raises(GratisError, match="USER/NAME"):
        push_run(run.path, "digits")
    with pytest.raises(GratisError, match="not a run folder"):
        push_run(tmp_path, NAME)
    hub.status = 403
    with pytest.raises(GratisError, match="the hub at"):
        push_run(run.path, NAME)
    assert not hub.files


def test_a_model_of_the_hub_is_hardened_and_shared_again(filled, tmp_path):
    hardened = gratis.harden(
        f"hub:{NAME}",
        data="digits",
        epsilon="38/255",
        budget="1s",
        out=tmp_path / "hardened",
        overrides=["evaluate.images=30", "evaluate.pgd_steps=1"],
    )
    push_run(hardened.path, "me/hardened")
    images = torch.rand(5, 3, 8, 8)
    with torch.no_grad():
        mine, theirs = gratis.load(hardened)(images), gratis.load("hub:me/hardened")(images)
    torch.testing.assert_close(theirs, mine, atol=0, rtol=0)
    assert "Hardened at epsilon 38/255" in filled.files["me/hardened"]["README.md"].decode()
