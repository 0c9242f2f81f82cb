"""Runs in the files of Weights & Biases, offline, read back with its own records."""

import json
import struct

import pytest
from wandb.proto import wandb_internal_pb2

from gratis.errors import Interrupted

# The log of records is a file of 7 bytes, then blocks of records in LevelDB's format.
MAGIC, BLOCK, HEADER = b":W&B", 32768, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path):
    """Return the records of a file ``run-ID.wandb``."""
    content, found, begun, place = path.read_bytes(), [], b"", HEADER
    assert content.startswith(MAGIC)
    while place + HEADER <= len(content):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + HEADER])
        assert kind in (FULL, FIRST, MIDDLE, LAST)
        begun += content[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (FULL, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(begun)
            found.append(record)
            begun = b""
    return found


def history(found):
    """Return the rows that were logged, without wandb's own values."""
    rows = [r.history.item for r in found if r.WhichOneof("record_type") == "history"]
    named = [
        {"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in row} for row in rows
    ]
    return [{k: v for k, v in row.items() if not k.startswith("_")} for row in named]


def test_a_run_and_its_continuation_are_one_offline(trained, interrupted, logged, caplog):
    caplog.set_level("INFO", "gratis.loggers")
    interrupted(9)
    with pytest.raises(Interrupted):
        trained("wandb")
    interrupted(10**6)
    folder = trained("wandb")
    files = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(files) == 2 and files[0].name == files[1].name
    found = [record for file in files for record in records(file)]

    runs = [record.run for record in found if record.WhichOneof("record_type") == "run"]
    assert {(run.run_id, run.project, run.display_name) for run in runs} == {
        (files[0].stem.removeprefix("run-"), "gratis", "tiny")
    }
    config = {item.key: json.loads(item.value_json) for item in runs[0].config.update}
    assert config["name"] == "free-scheduled" and config["train"]["epochs"] == 3

    rows = history(found)
    lines = logged(folder, "step")
    assert [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row] == [
        (line["step"], pytest.approx(line["loss"])) for line in lines
    ]
    assert [row["schedule/replays"] for row in rows if "schedule/replays" in row] == [
        line["replays"] for line in lines
    ]
    assert any("held_out/pgd" in row for row in rows)
    assert any("evaluation/robust" in row for row in rows)
    pictures = [row[name] for row in rows for name in row if name.endswith("/images/path")]
    assert len(pictures) >= 2
    for picture in pictures:
        assert any((file.parent / "files" / picture).is_file() for file in files)
    # What the user must know, and nothing else.
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warned == []
    assert any("wandb: nothing is sent" in record.getMessage() for record in caplog.records)


def test_neither_code_nor_machine_is_part_of_a_run(trained):
    folder = trained("wandb")
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    written = {path.name for path in (file.parent / "files").rglob("*") if path.is_file()}
    assert not {"requirements.txt", "wandb-metadata.json", "output.log"} & written
    kinds = {record.WhichOneof("record_type") for record in records(file)}
    assert "stats" not in kinds and "output_raw" not in kinds


def test_a_dead_server_changes_nothing(trained, logged, caplog, monkeypatch, dead_server):
    alone = trained(())
    expected = logged(alone, "step"), logged(alone, "epoch")
    alone.rename(alone.with_name("alone"))
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", dead_server())
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "3")
    folder = trained("wandb")
    assert (logged(folder, "step"), logged(folder, "epoch")) == expected
    assert (folder / "results.json").is_file()
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert f"send the rest with: gratis resume {folder} --log wandb" in warned[-1]
