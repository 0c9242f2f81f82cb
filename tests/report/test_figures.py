import subprocess
import sys

import pytest
from PIL import Image

from gratis.errors import GratisError
from gratis.report import figure1
from gratis.report.bar_chart import figure1_chart


@pytest.mark.parametrize("rows", [1, 16])
def test_the_figure_is_a_png_of_reasonable_size(result, tmp_path, rows):
    path = tmp_path / "figure1.png"
    figure1([result(f"recipe {row}") for row in range(rows)], path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width == 1500 and 300 <= image.height <= 2600


def test_the_figure_is_deterministic_with_every_kind_of_value(results, tmp_path):
    for name in ("a.png", "b.png"):
        figure1(results, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_figure_names_the_number_of_training_images(result, monkeypatch, tmp_path):
    texts = []

    def keep(figure, _):
        labels = figure.axes[0].get_yticklabels()
        texts[:] = [figure.axes[0].get_title("left"), *(label.get_text() for label in labels)]
        return b""

    monkeypatch.setattr("gratis.report.charts.as_png", keep)
    figure1([result("a"), result("b")], tmp_path / "figure1.png")
    assert "1,000 training images" in texts[0] and "training" not in texts[1]
    figure1([result("a"), result("b", train_images=500)], tmp_path / "figure1.png")
    assert "different numbers of training images" in texts[0]
    assert ["1,000 training" in texts[1], "500 training" in texts[2]] == [True, True]


@pytest.mark.parametrize("paper", [{}, {"geometric": 32}])
def test_the_papers_column_is_shown_only_if_the_paper_has_a_value(
    result, monkeypatch, tmp_path, paper
):
    texts = []

    def keep(figure, _):
        legend = figure.axes[0].get_legend().get_texts()
        texts[:] = [text.get_text() for text in [*figure.axes[0].texts, *legend]]
        return b""

    monkeypatch.setattr("gratis.report.charts.as_png", keep)
    own = {"data": "tiny-imagenet", "classes": 200}
    figure1([result("a", **own), result("b", paper=paper, **own)], tmp_path / "figure1.png")
    shown = bool(paper)
    assert ("paper" in texts, "the paper's value" in texts, "n/a" in texts) == (shown,) * 3
    monkeypatch.undo()
    chart = figure1_chart([result("a", **own), result("b", paper=paper, **own)])
    assert ("paper" in chart.text) == shown
    assert "paper" not in figure1_chart([result("a"), result("b", paper=paper)]).text


def test_a_failure_leaves_no_file(results, tmp_path):
    (tmp_path / "figure1.png").mkdir()
    with pytest.raises(GratisError, match="cannot be written"):
        figure1(results, tmp_path / "figure1.png")
    assert [path.name for path in tmp_path.iterdir()] == ["figure1.png"]


def test_importing_the_report_imports_neither_torch_nor_matplotlib():
    code = "import sys, gratis.report; assert not {'torch', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("title", [r"$\frac$", "$x^$ and $", "a < b & c"])
def test_a_dollar_in_a_title_is_no_formula(result, tmp_path, title):
    figure1([result(title=title, data="$_$")], tmp_path / "figure1.png")
    assert (tmp_path / "figure1.png").stat().st_size
