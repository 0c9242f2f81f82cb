import json

import pytest
import torch

from gratis.errors import GratisError
from gratis.train.metrics import Metrics


def scalars(**values):
    return {name: torch.tensor(value) for name, value in values.items()}


@pytest.fixture
def metrics(tmp_path):
    diary = Metrics(tmp_path / "metrics.jsonl")
    diary.open(0)
    yield diary
    diary.close()


def test_averages_are_those_since_the_last_ones(metrics):
    metrics.add(scalars(loss=1.0, accuracy=0.5), 8)
    metrics.add(scalars(loss=2.0, accuracy=1.0), 8)
    averages = metrics.averages()
    assert averages.pop("passes_per_second") > 0
    assert averages == {"loss": 1.5, "accuracy": 0.75}
    metrics.add(scalars(loss=7.0, accuracy=0.0), 8)
    assert metrics.averages()["loss"] == 7.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_an_error_that_names_the_terms(value, metrics):
    metrics.add(scalars(cross_entropy=1.0, contrastive=value), 8)
    with pytest.raises(GratisError, match=r"no longer finite.*contrastive"):
        metrics.averages()


def test_the_state_carries_what_is_not_yet_averaged(metrics, tmp_path):
    metrics.add(scalars(loss=1.0), 8)
    other = Metrics(tmp_path / "other.jsonl")
    other.load_state_dict(metrics.state_dict())
    other.open(0)
    for one in (metrics, other):
        one.add(scalars(loss=4.0), 8)
        assert one.averages()["loss"] == 2.5
    other.close()


def test_lines_after_the_kept_bytes_are_dropped(metrics, tmp_path):
    metrics.write({"step": 1})
    kept = metrics.bytes
    metrics.write({"step": 2})
    metrics.close()
    again = Metrics(tmp_path / "metrics.jsonl")
    again.open(kept)
    assert again.bytes == kept
    again.write({"step": 3})
    again.close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 3]


def test_a_file_shorter_than_the_kept_bytes_is_not_filled_up(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    diary = Metrics(tmp_path / "metrics.jsonl")
    diary.open(100)
    assert diary.bytes == 3
    diary.close()
    assert (tmp_path / "metrics.jsonl").read_text() == "{}\n"
