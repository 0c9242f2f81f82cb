import json
from pathlib import Path

import pytest

from gratis.errors import GratisError
from gratis.results import Results

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
