"""``gratis reproduce`` with own data, an own recipe and several values."""

import csv

import numpy as np
from PIL import Image

from gratis.data import DataSettings, load

TINY = ("model.channels=[8,8,8,8]", "train.epochs=1", "evaluate.pgd_steps=2", "data.size=8")


def write_list(folder):
    """Write 60 digits of three classes as images, and a list of them."""
    split = load(DataSettings(name="digits", classes=3)).train.take(np.arange(60))
    lines = ["file,label"]
    for number, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
        Image.fromarray(image).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{'abc'[label]}")
    path = folder / "digits.csv"
    path.write_text("\n".join(lines))
    return path


def test_own_data_own_recipe_and_a_row_for_each_value(tmp_path, works, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = write_list(tmp_path)
    mine = tmp_path / "mine.yaml"
    mine.write_text("title: Mine\nadversary: {free: {epsilon: 3/255}}\nobjective: cross_entropy\n")
    values = "adversary.free.epsilon=1/255,2/255"
    # The profile is given, so that a machine with a GPU does the same.
    arguments = (mine, values, "--data", f"csv:{listed}", "--profile", "photos-cpu", *TINY)
    printed = works("reproduce", *arguments)
    folder = tmp_path / "out" / "photos-cpu-digits"
    with (folder / "table.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["title"] for row in rows] == ["Mine, epsilon 1/255", "Mine, epsilon 2/255"]
    assert {row["data"] for row in rows} == {"csv"}
    assert "paper" not in (folder / "table.md").read_text()
    paired = (folder / "paired.md").read_text()
    assert "| Mine, epsilon 2/255 | Mine, epsilon 1/255 | 1 |" in paired
    assert "out/photos-cpu-digits" in printed
