import re

import pytest
from sampled import store_sample_images

from gratis.report import read_runs, write_page
from gratis.report.rows import group
from gratis.report.scatter import scatter_chart


def test_models_that_no_other_beats_are_on_the_front(result):
    rows = group(
        [
            result("natural", clean=0.9, pgd=0.0),
            result("beaten", clean=0.5, pgd=0.3),
            result("robust", clean=0.6, pgd=0.4),
            result("equal", clean=0.6, pgd=0.4),
            result("worst", clean=0.1, pgd=0.1),
        ]
    )
    found = scatter_chart(rows, "pgd", "PGD-20")
    assert found.models == [
        ("Natural", True),
        ("Beaten", False),
        ("Robust", True),
        ("Equal", True),
        ("Worst", False),
    ]
    for drawn in (found.chart.svg, found.chart.narrow):
        assert {"1", "2", "3", "4", "5"} <= set(re.findall(r">(\d)</text>", str(drawn)))
        assert "PGD-20" in str(drawn)
    assert scatter_chart(rows[:1], "pgd", "PGD-20") is None


@pytest.fixture
def page(run_folder, tmp_path):
    def make(*changes, images=False):
        folders = [run_folder(f"r{i}", **change) for i, change in enumerate(changes)]
        if images:
            for number, folder in enumerate(folders):
                store_sample_images(folder, "cat" if number else "dog's")
        found = read_runs(folders)
        write_page(found, found.runs if images else [], tmp_path / "report")
        return [(tmp_path / "report" / name).read_text() for name in ("report.html", "report.md")]

    return make


def test_models_measured_unlike_are_not_in_one_chart(page):
    for text in page({}, {"epsilon": 4 / 255}):
        assert "Pareto front" not in text and "Image by image" not in text


def test_the_images_of_two_runs_are_beside_each_other(page):
    html, markdown = page({"pgd": 0.3}, {"pgd": 0.1}, images=True)
    # 60 of 200 images and 20 of them are correct: all of the second are also of the first.
    assert "both classify 20 correctly, only the first 40, only the second 0, neither 140" in html
    assert "both classify 20 correctly, only the first 40" in markdown
    section = html[html.index('<section id="beside">') :]
    section = section[: section.index("</section>")]
    assert section.count("<img") == 4 and section.count("validation image 1") == 1
    assert "R0, seed 0" in section and "R1, seed 0" in section


def test_one_run_has_nothing_beside_it(page):
    assert 'id="beside"' not in page({}, images=True)[0]
