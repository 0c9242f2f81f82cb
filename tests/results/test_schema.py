import pytest

from gratis.errors import GratisError
from gratis.results import Results, collapsed


@pytest.mark.parametrize(
    "fgsm, pgd, expected",
    [(0.8, 0.1, True), (0.5, 0.45, False), (0.12, 0.0, False), (0.9, 0.6, False)],
)
def test_collapse_needs_a_large_absolute_and_relative_drop(fgsm, pgd, expected):
    assert collapsed(fgsm, pgd) is expected


def test_results_that_do_not_follow_the_schema_are_refused(tmp_path):
    path = tmp_path / "results.json"
    path.write_text('{"recipe": "free", "clean": 2}')
    with pytest.raises(GratisError, match=r"results\.json \(delete it.*\): \d+ problems"):
        Results.read(path)
