import json
from pathlib import Path

import pytest

from gratis.errors import GratisError
from gratis.results import Frontier, Results
from gratis.study import read_results

# What holds keys of any name, and what is kept as it is.
FREE, KEPT = ("variants",), ("resolved", "versions", "figures", "external", "settings", "values")
PUBLISHED = Path(__file__).parents[2] / "docs/results"


def test_results_that_do_not_follow_the_schema_are_refused(tmp_path):
    path = tmp_path / "results.json"
    path.write_text('{"recipe": "free", "clean": 2}')
    with pytest.raises(GratisError, match=r"results\.json \(delete it.*\): \d+ problems"):
        Results.read(path)


@pytest.mark.parametrize("folder", ["digits", "tiny-imagenet-small", "three-seeds", "record-small"])
def test_published_results_are_read_with_the_present_names_of_keys(folder):
    stored = json.loads((PUBLISHED / folder / "results.json").read_text(encoding="utf-8"))
    for content in stored["rows"]:
        train = Results.model_validate(content).resolved["train"]
        assert train["epoch_unit"] in ("passes", "images")
        assert not train.keys() & {"count", "average", "decay_all", "held_out"}


def with_unknown_fields(content, free=False):
    """Return what a newer version may write: a field more wherever their names are fixed."""
    if isinstance(content, list):
        return [with_unknown_fields(each) for each in content]
    if not isinstance(content, dict):
        return content
    more = {} if free else {"of_a_newer_version": [1]}
    inner = {
        key: value if key in KEPT else with_unknown_fields(value, key in FREE)
        for key, value in content.items()
    }
    return inner | more


def test_fields_of_a_newer_version_are_ignored_at_every_depth(tmp_path):
    path = tmp_path / "results.json"
    stored = json.loads((PUBLISHED / "digits" / "results.json").read_text(encoding="utf-8"))
    weights = {"file": "a.onnx", "sha256": "0", "external": {"a.bin": "1"}}
    check = {"name": "a", "passed": True, "figures": {"b": 1}, "rule": "c", "advice": "d"}
    attack = {"epsilon": 0.1, "steps": 1, "restarts": 1, "random_start": False, "loss": "margin"}
    task = {"name": "a", "accuracy": 0.5, "threat": "curve", "standalone": True, "images": 2}
    content = stored["rows"][0] | {
        **{"weights": weights, "start": weights, "before": {"clean": 0.9}},
        **{"checks": [check | {"images": 2}]},
        **{"tasks": [task | {"settings": {"attack": attack}}]},
    }
    path.write_text(json.dumps(content))
    known = Results.read(path)
    path.write_text(json.dumps(with_unknown_fields(content)))
    assert Results.read(path) == known

    point = {"alpha": 0, "curve": [[0, 0.9], [0.1, 0.5]]}
    content = {"epsilon": 0.1, "pgd_steps": 1, "images": 2, "points": [point], "chosen": 0}
    path.write_text(json.dumps(content))
    known = Frontier.read(path)
    path.write_text(json.dumps(with_unknown_fields(content)))
    assert Frontier.read(path) == known

    variant = {"recipe": "free", "passes": 1, "seconds": 1, "values": {"clean": [50]}}
    texts = dict.fromkeys(("study", "profile", "command", "header"), "a")
    content = texts | {"seeds": 1, "variants": {"b": variant}}
    path.with_name("study.json").write_text(json.dumps(content))
    found = read_results(tmp_path)
    path.with_name("study.json").write_text(json.dumps(with_unknown_fields(content)))
    assert read_results(tmp_path) == found
