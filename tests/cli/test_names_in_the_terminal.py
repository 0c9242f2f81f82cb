"""Names of classes and folders cannot control the terminal, whatever command shows them."""

import numpy as np
import pytest
from PIL import Image

from gratis.run import frontier

CONTROL = "\x1b]8;;http://evil.example\x1b\\a\x07\x1b[2J\r"
MARKUP = "[link=https:evil.example]b[bold] :skull: \\"
CHANGES = [
    *("model.channels=[8,8,8,8]", "model.head.width=16", "model.input_size=8", "train.epochs=1"),
    *("train.held_out_per_class=1", "evaluate.images=8", "evaluate.pgd_steps=1"),
]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two classes with hostile names, in a folder with one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRATIS_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    # No separators of paths in them.
    folder = tmp_path / f"photos{MARKUP}"
    for name in (CONTROL.replace("/", ""), MARKUP):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}{CONTROL[:3]}.png")
    return folder


@pytest.mark.slow
def test_every_command_shows_them_as_text(photos, within, monkeypatch):
    monkeypatch.setattr(frontier, "ALPHAS", (0.0, 0.5, 1.0))
    data, runs = f"folder:{photos}", photos.parent / f"runs{CONTROL.replace('/', '')}"
    commands = [
        ["data", data],
        ["train", "free", "--data", data, "--out", runs / "a", *CHANGES],
        ["evaluate", runs / "a", "evaluate.images=6"],
        ["harden", runs / "a", "--data", data, "--out", runs / "b", *CHANGES[4:], "--budget", "1s"],
        ["predict", runs / "a", photos, "--attack", "fgsm", "--epsilon", "8/255"],
        ["predict", runs / "a", photos, "--csv"],
        ["predict", runs / "a", photos / "none\x1b[2J.png"],
        ["runs", "ls", runs],
        ["compare", runs / "a", runs / "b"],
        ["report", runs / "a"],
        ["export", runs / "a", "--to", "state-dict"],
        ["verify", runs / "a"],
    ]
    seen = ""
    for command in commands:
        _, streams = within(*command)
        for text in (streams.out, streams.err):
            assert not set(text) & {"\x1b", "\x07", "\r"}, (command, text)
            assert "Traceback" not in text
        seen += "".join((streams.out + streams.err).split())
    assert "[bold]:skull:" in seen and "\\x1b[2J" in seen and "💀" not in seen
