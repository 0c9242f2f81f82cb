import json

import pytest
import torch

from gratis.errors import GratisError
from gratis.training.metrics import JsonLinesLog, RunningMeans


def scalars(**values):
    return {name: torch.tensor(value) for name, value in values.items()}


def test_means_are_those_since_the_last_reading():
    averages = RunningMeans()
    averages.add(scalars(loss=1.0, accuracy=0.5), 16, 8)
    averages.add(scalars(loss=2.0, accuracy=1.0), 16, 8)
    means = averages.read()
    assert means.pop("passes_per_second") > means.pop("images_per_second") > 0
    assert means == {"loss": 1.5, "accuracy": 0.75}
    averages.add(scalars(loss=7.0, accuracy=0.0), 8, 8)
    assert averages.read()["loss"] == 7.0


def test_the_throughput_counts_from_the_last_reading(monkeypatch):
    clock = iter([0.0, 10.0, 10.0, 12.0, 12.0])
    monkeypatch.setattr("gratis.training.metrics.time.perf_counter", lambda: next(clock))
    averages = RunningMeans()
    averages.add(scalars(loss=1.0), 300, 100)
    first = averages.read()
    assert (first["passes_per_second"], first["images_per_second"]) == (30, 10)
    averages.add(scalars(loss=1.0), 300, 100)
    second = averages.read()
    assert (second["passes_per_second"], second["images_per_second"]) == (150, 50)


def test_the_state_holds_what_is_not_read_yet():
    averages, other = RunningMeans(), RunningMeans()
    averages.add(scalars(loss=1.0), 8, 8)
    other.load_state_dict(averages.state_dict())
    for one in (averages, other):
        one.add(scalars(loss=4.0), 8, 8)
        assert one.read()["loss"] == 2.5


def test_the_throughput_after_a_rollback_is_that_of_the_steps_since(monkeypatch):
    clock = iter([0.0, 10.0, 20.0, 22.0, 22.0])
    monkeypatch.setattr("gratis.training.metrics.time.perf_counter", lambda: next(clock))
    averages = RunningMeans()
    averages.add(scalars(loss=1.0), 300, 100)
    saved = averages.state_dict()
    averages.add(scalars(loss=9.0), 300, 100)
    averages.load_state_dict(saved)
    averages.add(scalars(loss=3.0), 60, 20)
    assert averages.read() == {"loss": 2.0, "images_per_second": 2.0, "passes_per_second": 6.0}


def test_an_empty_state_can_be_loaded():
    averages = RunningMeans()
    averages.load_state_dict(RunningMeans().state_dict())
    averages.add(scalars(loss=4.0), 8, 8)
    assert averages.read()["loss"] == 4.0


def test_lines_after_the_kept_bytes_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = JsonLinesLog(path, 0)
    log.write({"step": 1})
    kept = log.sync()
    log.write({"step": 2})
    log.close()
    again = JsonLinesLog(path, kept)
    assert again.sync() == kept
    again.write({"step": 3})
    again.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 3]


def test_a_file_shorter_than_the_kept_bytes_is_not_padded(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("{}\n")
    log = JsonLinesLog(path, 100)
    assert log.sync() == 3
    log.close()
    assert path.read_text() == "{}\n"


def test_a_log_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(GratisError, match=r"metrics\.jsonl: cannot be written"):
        JsonLinesLog(tmp_path / "missing" / "metrics.jsonl", 0)
