"""The report page: complete, self-contained, and safe with hostile names."""

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sampled import sample_images, store_sample_images

from gratis import report
from gratis.errors import GratisError
from gratis.report import read_runs, write_page
from gratis.report.table import fence, plain

HOSTILE = "<script>alert(1)</script> $\\frac| `![x](http://evil.example/x.png) ]]> --> \"'&"
VOID = {"meta", "link", "img", "br", "wbr", "path", "use", "rect", "line", "circle"}


class Page(HTMLParser):
    """Collects what a browser would fetch, run or refer to, and checks that tags are balanced."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.tags, self.ids, self.handlers, self.words = [], [], [], [], []
        self._open = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self._open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
                self.addresses.append(value)
            if name == "id":
                self.ids.append(value)
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, text):
        self.words.append(text)


UNMEASURED = {"suite": "paper", **dict.fromkeys(("transfer", "fgsm", "pgd"))}
LOG = [
    {"kind": "step", "epoch": 0.5, "loss": 2.0, "accuracy": 0.2, "epsilon": 0.01, "replays": 1},
    {"kind": "rollback", "epoch": 0.7, "reason": "the loss exploded"},
    {"kind": "epoch", "epoch": 1, "loss": 1.0, "held_out": {"clean": 0.9, "fgsm": 0.5, "pgd": 0.4}},
    {"kind": "step", "epoch": 1.5, "loss": 0.9, "accuracy": 0.5, "epsilon": 0.03, "replays": 4},
]


@pytest.fixture
def page(run_folder, tmp_path):
    """Write a page on runs without images; return its HTML and its Markdown."""

    def make(*changes):
        folders = [run_folder(f"r{i}", **change) for i, change in enumerate(changes)]
        write_page(read_runs(folders), [], tmp_path / "report")
        files = (tmp_path / "report" / name for name in ("report.html", "report.md"))
        return [file.read_text() for file in files]

    return make


@pytest.fixture(scope="module")
def rich(write_run, tmp_path_factory):
    """The folder of a page with every section, on a run with hostile names and another."""
    folder = tmp_path_factory.mktemp("rich")
    change = {"title": HOSTILE, "data": HOSTILE, "backbone": HOSTILE, "device": HOSTILE}
    change |= {"commit": HOSTILE, "versions": {HOSTILE: HOSTILE}, "baseline": True, "pgd": 0.5}
    change["resolved"] = {"title": HOSTILE, "evaluate": {"images": 200}}
    runs = [
        write_run(folder / "runs", "r0", log=LOG, **change),
        write_run(folder / "runs", "r1", log=LOG, data=HOSTILE),
    ]
    store_sample_images(runs[0], HOSTILE)
    store_sample_images(runs[1])
    found = read_runs(runs)
    write_page(found, found.runs, folder / "report")
    return folder / "report"


@pytest.fixture(scope="module")
def html(rich):
    return (rich / "report.html").read_text()


@pytest.fixture(scope="module")
def markdown(rich):
    return (rich / "report.md").read_text()


def test_the_page_loads_nothing_and_runs_its_own_script_only(html):
    read = Page(html)
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in read.addresses)
    assert any(address.startswith("data:") for address in read.addresses)
    assert set(re.findall(r"url\((.)", html)) <= {"#"} and "@import" not in html
    assert not {"link", "iframe", "object", "base", "form"} & set(read.tags)
    # The only script is the package's own, and the browser refuses every other.
    (script,) = re.findall(r"<script[^>]*>(.*?)</script", html, re.DOTALL)
    own = Path(report.__file__).parent / "templates" / "report.js"
    assert script == own.read_text(encoding="utf-8")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert re.findall(r"script-src ([^\"]*)\"", html) == [f"'sha256-{digest}'"]
    assert read.handlers == []
    assert "default-src 'none'" in html


def test_every_reference_has_one_target(html):
    read = Page(html)
    assert len(set(read.ids)) == len(read.ids)
    targets = [address[1:] for address in read.addresses if address.startswith("#")]
    targets += re.findall(r"url\(#([^)]+)\)", html)
    assert {"results", "training", "classes", "images"} <= set(targets) <= set(read.ids)


def test_hostile_names_are_shown_literally(html, markdown):
    assert html.count("<script") == 1 and '<img src="http' not in html
    assert "".join(Page(html).words).count(HOSTILE) > 10
    outside = re.sub(r"^(`{3,})\n.*?^\1$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    assert "<" not in outside
    links = re.findall(r"(?<!\\)\]\(([^)]*)\)", outside)
    assert links and all(link.startswith("images/") for link in links)


def test_the_folder_has_exactly_the_images_of_the_markdown(rich, markdown):
    named = set(re.findall(r"\]\(images/([^)]*)\)", markdown))
    files = {path.name: path for path in (rich / "images").iterdir()}
    assert named == set(files) and len(files) == 2 + 2 + 2 * 2 * (5 + 3)
    for name, path in files.items():
        with Image.open(path) as image:
            assert image.format == "PNG"
            # Eight pixels are too few to see.
            assert image.width >= 96, name


def test_both_forms_have_the_same_content(html, markdown):
    words = " ".join("".join(Page(html).words).split())
    for text in (words, " ".join(markdown.replace("\\", "").split())):
        for said in (
            "is the most robust of 2 models",
            "PGD-20 at epsilon 8/255",
            "[43.1, 56.9]",
            "dotted line, training went back",
            "cat, 88%",
            "validation image 1" if text is words else "(image 1)",
            "name: r0",
        ):
            assert said in text
        assert [text.count(mark) for mark in "✓✗"] == [14, 14]


def test_charts_take_their_colours_from_the_page(html):
    charts = re.findall(r"<svg .*?</svg>", html, flags=re.DOTALL)
    assert len(charts) == 6
    for chart in charts:
        assert "currentColor" in chart and "var(--rule)" in chart
        assert not re.search("#000000|#ffffff|white|black", chart)


def test_small_pictures_are_enlarged_pixel_by_pixel(rich):
    with Image.open(rich / "images" / "gallery-1-0-clean.png") as image:
        shown = np.asarray(image.convert("RGB"))
    (original, *_) = (image.pictures["clean"] for image in sample_images().images)
    assert (shown == original.repeat(12, axis=0).repeat(12, axis=1)).all()


def test_sections_without_content_are_absent(page):
    html, markdown = page({"log": []})
    for text in (html, markdown):
        assert not re.search("Training|Classes|Images|Accuracy against epsilon", text)
    (contents,) = re.findall("<nav.*?</nav>", html, flags=re.DOTALL)
    assert Page(contents).addresses == ["#results", "#figure1", "#provenance"]


def test_a_log_without_values_gives_empty_curves(page):
    html, _ = page({"log": [{"kind": "rollback", "epoch": 1}]})
    assert "Training</h2>" in html and "went back" in html


def test_a_run_without_a_log_is_named(page):
    html, markdown = page({"log": LOG}, {"log": []})
    assert "No curves" in html and "r1-seed0" in html.split("No curves")[1].split("</p>")[0]
    assert "No curves" in markdown


def test_a_page_replaces_an_earlier_one_and_nothing_else(page, run_folder, tmp_path, monkeypatch):
    first = page({})[0]
    found = read_runs([tmp_path / "out" / "runs" / "r0-seed0"])
    write_page(found, [], tmp_path / "report")
    assert (tmp_path / "report" / "report.html").read_text() == first

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(GratisError, match=r"mine: already holds thesis\.tex"):
        write_page(found, [], tmp_path / "mine")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    with pytest.raises(GratisError, match="No space left"):
        write_page(found, [], tmp_path / "report")
    assert (tmp_path / "report" / "report.html").read_text() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out", "report"]


def test_a_curve_against_epsilon_is_drawn_where_there_is_one(page, tasks):
    html, markdown = page({"tasks": tasks(suite="standard", epsilons=[8 / 255])}, {})
    assert 'href="#epsilon"' in html and "images/epsilon.png" in markdown
    assert len(set(Page(html).ids)) == len(Page(html).ids)


def test_the_attack_behind_a_picture_is_named_if_the_summary_is_on_another(write_run, tmp_path):
    run = write_run(tmp_path, "r0", suite="standard", robust=0.05)
    store_sample_images(run)
    found = read_runs([run])
    write_page(found, found.runs, tmp_path / "report")
    html, markdown = (
        (tmp_path / "report" / f"report.{kind}").read_text() for kind in ("html", "md")
    )
    for text in (html, markdown):
        assert (
            "Adversarial: PGD-20 at epsilon 8/255; an image that survives it need not survive all "
            "L-infinity attacks of the suite “standard” at epsilon 8/255."
        ) in text
        assert "under all L-infinity attacks of the suite “standard” at epsilon 8/255" in text


def test_a_model_without_gradients_shows_no_adversarial_pictures(write_run, tmp_path):
    run = write_run(tmp_path, "r0")
    kinds = ("clean", "geometric")
    images = [
        replace(
            image,
            pictures={kind: image.pictures[kind] for kind in kinds},
            at_epsilons=[],
            predictions={kind: image.predictions[kind] for kind in kinds},
        )
        for image in sample_images().images
    ]
    path = store_sample_images(run)
    replace(sample_images(), attack=None, images=images).save(path)
    found = read_runs([run])
    write_page(found, found.runs, tmp_path / "report")
    for name in ("report.html", "report.md"):
        text = (tmp_path / "report" / name).read_text()
        assert "No adversarial pictures, because the model has no gradient." in text
    assert len(list((tmp_path / "report" / "images").glob("gallery-*"))) == 2 * 2


def test_the_tasks_and_corruptions_of_a_suite_are_listed(page, tasks):
    html, markdown = page({"suite": "full", "tasks": tasks(suite="full"), "corruptions": 0.5})
    for text in (html, markdown):
        assert "clean-correct" in text and "AutoAttack: square" in text
        assert "Accuracy under corruptions, by severity" in text and "survive (%)" in text
    assert 'href="#tasks"' in html and "| **mean** |" in markdown


def test_a_value_that_was_not_measured_is_not_available(page):
    html, markdown = page(UNMEASURED, {})
    for text in (html, markdown):
        assert "were not measured alike (suite: paper, table)" in text and "None" not in text
        assert "catastrophic overfitting is not visible" in text
    assert html.count("<td>n/a</td>") == 3
    assert "fgsm\\_transfer" in markdown and markdown.count("| n/a | n/a | n/a |") == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("+ free", "+ free"),
        ("a | b", "a \\| b"),
        ("<b> & `x`", "&lt;b&gt; &amp; \\`x\\`"),
        ("two\nlines", "two lines"),
        ("fgsm_transfer", "fgsm\\_transfer"),
    ],
)
def test_names_in_markdown_are_shown_literally(text, shown):
    assert plain(text) == shown


def test_characters_that_change_the_direction_of_text_are_refused(page):
    with pytest.raises(ValueError, match="one line of text without control characters"):
        page({"commit": "\u202efuture\x1b[2K"})


def test_code_cannot_end_its_code_block():
    assert fence("a\n```\nb\n") == "````\na\n```\nb\n````"
