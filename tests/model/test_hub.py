"""Weights that cannot be downloaded are an error after a single request."""

import http.server
import threading

import huggingface_hub
import pytest
from huggingface_hub import constants

from gratis.errors import GratisError
from gratis.model import hub
from gratis.model.networks import Architecture


@pytest.fixture
def at(monkeypatch, tmp_path):
    """Let the hub be at an address, with an empty cache; forget what is known of it."""

    def place(endpoint):
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        hub._silent.cache_clear()

    return place


@pytest.fixture
def server():
    """A server that refuses every request, and counts them."""
    asked = []

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.path)
            self.send_response(403)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}", asked
    running.shutdown()
    running.server_close()
    thread.join()


NOWHERE = "http://127.0.0.1:9"


def test_a_hub_that_answers_is_asked_once_whatever_it_says(at, server):
    address, asked = server
    at(address)
    assert hub.missing("timm/resnet18.a1_in1k", ["model.safetensors"]) is None
    assert hub.missing("timm/resnet50.a1_in1k", ["model.safetensors"]) is None
    assert len(asked) == 1


def test_what_is_in_the_cache_needs_no_network(at, monkeypatch, tmp_path):
    at(NOWHERE)
    (tmp_path / "weights").write_bytes(b"")
    found = str(tmp_path / "weights")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *wanted: found)
    assert hub.missing("timm/x", ["model.safetensors"]) is None


def test_without_a_network_timm_is_not_asked(at, monkeypatch):
    at(NOWHERE)
    architecture = Architecture("resnet18")
    monkeypatch.setattr("timm.create_model", lambda *a, **k: pytest.fail("timm was asked"))
    with pytest.raises(GratisError) as refusal:
        architecture.downloaded_weights()
    message = str(refusal.value)
    for text in ("resnet18", NOWHERE, "model.weights=FILE", "model.pretrained=false"):
        assert text in message


def test_a_name_on_the_hub_is_refused_at_once_too(at):
    at(NOWHERE)
    with pytest.raises(GratisError, match=r"cannot be downloaded .*127\.0\.0\.1.*local-dir:PATH"):
        Architecture("hf-hub:someone/model").build(10)


def test_offline_by_request(at, monkeypatch):
    at(NOWHERE)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in hub.missing("timm/x", ["model.safetensors"])
