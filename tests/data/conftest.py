import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

WNIDS = ("n03", "n01", "n02")


def save_noise(path: Path, seed: int, size: tuple[int, int] = (64, 64), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for every test."""
    monkeypatch.setenv("GRATIS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Tiny ImageNet's layout: three classes of 4 + 2 images, some greyscale."""
    root = tmp_path / "tiny-imagenet-200"
    lines = []
    for label, wnid in enumerate(WNIDS):
        for number in range(4):
            name = f"{wnid}_{number}.JPEG"
            mode = "L" if number == 0 else "RGB"
            save_noise(root / "train" / wnid / "images" / name, 100 * label + number, mode=mode)
        for number in range(2):
            name = f"val_{2 * label + number}.JPEG"
            save_noise(root / "val" / "images" / name, 1000 + 2 * label + number)
            lines.append(f"{name}\t{wnid}\t0\t0\t63\t63\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    (root / "wnids.txt").write_text("\n".join(WNIDS))
    (root / "words.txt").write_text("n01\tgoldfish, Carassius\nn02\tcrane\nn03\tcrane, bird\n")
    return root


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A folder of images: two classes, one of them with a subfolder."""
    root = tmp_path / "pets"
    for number, part in enumerate(("train", "val")):
        save_noise(root / part / "cat" / "a.png", 10 * number, (20, 30))
        save_noise(root / part / "cat" / "deeper" / "b.jpg", 10 * number + 1, (41, 17))
        save_noise(root / part / "dog" / "c.bmp", 10 * number + 2, (8, 8))
        (root / part / "dog" / "notes.txt").write_text("not an image")
        (root / part / "dog" / "._c.bmp").write_bytes(b"not an image either")
    return root


class Server(ThreadingHTTPServer):
    """A server of ``content`` with faults.

    ``cuts[i]`` is the number of bytes after which it closes the connection of request i, or stops
    sending with ``stalls``. ``lie`` is added to the content length, which ``lengthless`` leaves
    out. ``shift`` moves the start of the requested ranges.
    """

    daemon_threads = True
    content = b""
    ranges = True
    status = 200
    lie = 0
    lengthless = False
    shift = 0
    stalls = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.cuts: list[int] = []
        self.asked: list[str | None] = []
        self.closing = threading.Event()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        start = int(asked[6:-1]) + server.shift if asked and server.ranges else 0
        body = server.content[start:]
        if server.status != 200 or (start and not body):
            self.refuse(416 if server.status == 200 else server.status)
            return
        self.send_response(206 if start else 200)
        if start:
            end = len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        if not server.lengthless:
            self.send_header("Content-Length", str(len(body) + server.lie))
        self.end_headers()
        cut = server.cuts.pop(0) if server.cuts else len(body)
        self.wfile.write(body[:cut])
        if server.stalls and cut < len(body):
            server.closing.wait(20)

    def refuse(self, status: int) -> None:
        if 300 <= status < 400:
            self.send_response(status)
            self.send_header("Location", self.path)
            self.end_headers()
        else:
            self.send_error(status)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    serving = Server()
    thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield serving
    serving.closing.set()
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.fixture
def messages(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return what was logged since the last call, apart from the summary of a folder."""
    caplog.set_level(logging.INFO, "gratis")

    def take() -> list[str]:
        records = [r for r in caplog.records if r.name != "gratis.data.own_images"]
        found = [record.getMessage() for record in records]
        caplog.clear()
        return found

    return take


@pytest.fixture
def noise() -> Callable[..., None]:
    """Return a function that saves an image of noise: ``noise(path, seed, size, mode)``."""
    return save_noise
