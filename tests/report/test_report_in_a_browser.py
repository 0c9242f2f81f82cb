"""The report in Chromium: its script sorts and hides, and nothing leaves the machine."""

import numpy as np
import pytest
from sampled import store_sample_images

from gratis.report import read_runs, write_page

pytestmark = pytest.mark.slow
LONG = "a class with a name that never ends " * 14


@pytest.fixture(scope="module")
def report(write_run, tmp_path_factory):
    """A report on 24 models on 200 classes, one of which has a name of 500 characters."""
    folder = tmp_path_factory.mktemp("many")
    runs = []
    for number in range(24):
        accuracies = {"clean": 0.9 - number / 100, "pgd": number / 50, "fgsm": number / 100}
        title = LONG[:500] if number == 3 else f"model {number}"
        cost = 10.0 ** (2 + number % 4)
        # Charts of the training of a few: each takes long to draw.
        changes = accuracies if number < 4 else accuracies | {"log": []}
        run = write_run(
            folder / "runs", f"r{number:02}", title=title, passes=cost, classes=200, **changes
        )
        runs.append(run)
    for run in (runs[10], runs[11]):
        store_sample_images(run, LONG[:500])
    found = read_runs(runs)
    shown = [run for run in found.runs if run.sample_images is not None]
    write_page(found, shown, folder / "report")
    return folder / "report" / "report.html"


def open_page(browser, **options):
    """Return an empty page; a busy machine takes long to draw 24 models."""
    opened = browser.new_page(**options)
    opened.set_default_timeout(180_000)
    return opened


@pytest.fixture(params=[1280, 390])
def page(browser, report, request):
    """The page in a window of that width; errors and requests fail the test."""
    opened = open_page(browser, viewport={"width": request.param, "height": 900})
    problems = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: problems.append(said.text))
    opened.on("request", lambda asked: problems.append(asked.url))
    opened.goto(report.as_uri())
    yield opened
    opened.close()
    assert [p for p in problems if not p.startswith(("data:", report.as_uri()))] == []


def column(page, number):
    cells = page.locator(f"#results tbody tr > :nth-child({number})")
    return [text.split("\n")[0] for text in cells.all_inner_texts()]


def test_a_table_is_sorted_and_columns_are_hidden(page):
    before = column(page, 1)
    assert len(before) == 24
    head = page.locator("#results thead th")
    place = [text.split("\n")[0] for text in head.all_inner_texts()].index("pgd") + 1
    button = head.nth(place - 1).locator("button")
    button.click()
    values = [float(text.split()[0].rstrip("†‡⚠§")) for text in column(page, place)]
    assert values == sorted(values, reverse=True) and len(set(values)) > 20
    assert head.nth(place - 1).get_attribute("aria-sort") == "descending"
    # By keyboard, the other way round.
    button.focus()
    page.keyboard.press("Enter")
    assert [float(t.split()[0].rstrip("†‡⚠§")) for t in column(page, place)] == values[::-1]
    # 100, 1.0k, 10k and 100k are numbers.
    passes = [text.split("\n")[0] for text in head.all_inner_texts()].index("passes") + 1
    head.nth(passes - 1).locator("button").click()
    assert list(dict.fromkeys(column(page, passes))) == ["100k", "10k", "1.0k", "100"]

    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("checkbox", name="pgd").uncheck()
    assert not button.is_visible() and head.nth(0).is_visible()
    page.get_by_role("checkbox", name="pgd").check()
    assert button.is_visible()


def test_a_slider_shows_one_epsilon_of_all_images(page):
    slider = page.get_by_role("slider").first
    shown = page.locator("#images .samples").first.locator(".growing figure:visible")
    assert shown.count() == 2
    # At first that of the evaluation.
    assert {text.split("\n")[0] for text in shown.all_inner_texts()} == {"8/255"}
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext") == "4/255"
    assert {text.split("\n")[0] for text in shown.all_inner_texts()} == {"4/255"}


def test_nothing_is_wider_than_the_window(page):
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"]


def test_a_long_name_does_not_make_its_row_high(page):
    heights = page.locator("tbody th").evaluate_all("all => all.map(one => one.offsetHeight)")
    assert max(heights) < 150


def test_the_browser_refuses_every_other_script(browser, report, tmp_path):
    changed = tmp_path / "report.html"
    injected = "<script>document.title = 'taken'</script><p onclick='document.title = 1'>x</p>"
    changed.write_text(report.read_text().replace("<main>", f"<main>{injected}"))
    opened = open_page(browser)
    opened.goto(changed.as_uri())
    assert opened.title() == "Robustness report"
    opened.close()


def test_dark_and_print_have_colours_of_their_own(browser, report):
    opened = open_page(browser)
    opened.goto(report.as_uri())
    found = {}
    for scheme, media in (("light", "screen"), ("dark", "screen"), ("dark", "print")):
        opened.emulate_media(color_scheme=scheme, media=media)
        background = opened.evaluate("getComputedStyle(document.body).backgroundColor")
        channels = background.removeprefix("rgb(").rstrip(")").split(",")
        found[scheme, media] = np.mean([int(value) for value in channels])
    assert not opened.locator(".columns").is_visible()
    opened.close()
    assert found["light", "screen"] > 200 > 60 > found["dark", "screen"]
    assert found["dark", "print"] > 200
