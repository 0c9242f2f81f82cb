"""The pages of the documentation site in a real browser, opened as files and from a server."""

import functools
import http.server
import threading

import pytest

WIDTHS = {"desktop": 1280, "phone": 390}
PATIENCE = 60_000  # milliseconds; a slow machine is no failure
# Images that are there have a size. What scrolls inside itself, such as a table, is no overflow.
BROKEN = "() => [...document.images].filter(i => !i.naturalWidth).map(i => i.src)"
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def server(site):
    """The address of a server of the site on this machine."""
    handler = functools.partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as one:
        threading.Thread(target=one.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{one.server_port}"
        one.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(params=WIDTHS)
def page(request, browser):
    """A page of a width; afterwards it has no error, and asked for nothing from outside."""
    opened = browser.new_page(viewport={"width": WIDTHS[request.param], "height": 844})
    opened.set_default_timeout(PATIENCE)
    outside, errors = [], []
    own = ("file:", "data:", "blob:", "about:", "http://127.0.0.1:")
    opened.on("request", lambda r: None if r.url.startswith(own) else outside.append(r.url))
    opened.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    opened.close()
    assert not outside
    assert not errors


def find(page, word):
    """Search for a word, and return the addresses of the pages found, without their anchors."""
    if page.viewport_size["width"] < 500:
        page.locator("label.md-header__button[for=__search]").click()
    page.get_by_role("textbox", name="Search").press_sequentially(word)
    results = page.locator(".md-search-result__link")
    results.first.wait_for()
    return [link.get_attribute("href").split("?")[0] for link in results.all()]


@pytest.mark.parametrize("served", [False, True], ids=["files", "server"])
def test_search_finds_a_word(page, site, server, served):
    page.goto(f"{server}/index.html" if served else (site / "index.html").as_uri())
    found = find(page, "bisection")
    assert found
    assert {address.rpartition("/")[2] for address in found} == {"play.html"}
    page.locator(".md-search-result__link").first.click()
    page.get_by_role("heading", name="What the page shows").wait_for()


def test_every_page_fits_and_shows_its_images(page, site):
    # A server alone shows 404.html, and its addresses begin at the root.
    pages = sorted(set(site.rglob("*.html")) - {site / "404.html"})
    assert len(pages) > 40
    for path in pages:
        page.goto(path.as_uri())
        where = str(path.relative_to(site))
        assert page.evaluate(OVERFLOW) <= 0, where
        assert page.evaluate(BROKEN) == [], where


def test_tables_of_results_have_the_width_of_the_page(browser, site):
    opened = browser.new_page(viewport={"width": 1280, "height": 844})
    opened.goto((site / "results" / "digits" / "table.html").as_uri())
    assert opened.locator("article").bounding_box()["width"] > 1000
    opened.close()


def test_blocks_that_are_not_run_say_so(page, site):
    page.goto((site / "record.html").as_uri())
    assert "needs a GPU" in page.locator(".not-run").first.inner_text()


def test_the_pages_of_the_root_and_the_notebooks_are_on_the_site(page, site):
    page.goto((site / "index.html").as_uri())
    main = page.locator("article")
    main.get_by_role("link", name="Your own loop in ten lines").click()
    page.get_by_role("heading", name="Your own loop in ten lines").wait_for()
    main.get_by_role("link", name="The same loop as a script").click()
    page.get_by_text("Free adversarial training in a plain PyTorch loop").wait_for()
    page.goto((site / "design.html").as_uri())
    main.get_by_role("link", name="Contributing").click()
    page.get_by_role("heading", name="Where things are").wait_for()
