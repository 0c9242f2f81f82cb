import pytest

from gratis.errors import GratisError
from gratis.results import Results


def test_results_that_do_not_follow_the_schema_are_refused(tmp_path):
    path = tmp_path / "results.json"
    path.write_text('{"recipe": "free", "clean": 2}')
    with pytest.raises(GratisError, match=r"results\.json \(delete it.*\): \d+ problems"):
        Results.read(path)
