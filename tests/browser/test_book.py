"""The web book, as a reader uses it: by searching, on a phone, in the dark, read aloud, without a network."""

import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from helpers.publishing import book, colab, notebooks

pytestmark = pytest.mark.slow  # making the book takes the better part of a minute of one core

NAMES = [path.stem for path in notebooks.paths()]
KINDS = [  # a page of each kind, beside the notebooks
    *("index", "running", "data/reference/README", "notebooks/for_instructors"),
    *("api/index", "api/masking", "bibliography", "CONTRIBUTING", "search"),
]
PAGES = [*(f"notebooks/{name}" for name in NAMES), *KINDS]
PHONE = 390  # CSS pixels
IMAGES = """images => images.map(image => [
    image.alt, image.complete && Math.min(image.naturalWidth, image.naturalHeight, image.width, image.height)
])"""
OUTSIDE = """() => [...document.querySelectorAll("main pre, main table, main img")].filter(element => {
    for (let box = element; box && box.tagName !== "MAIN"; box = box.parentElement)
        if (/auto|scroll/.test(getComputedStyle(box).overflowX)) return false;
    return element.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
}).map(element => element.outerHTML.slice(0, 100))"""


class Quiet(SimpleHTTPRequestHandler):
    """A web server that keeps no log."""

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    """The folder with the book, made as `make book` does; every warning of Sphinx is an error."""
    return book.build(tmp_path_factory.mktemp("book") / "book").parent


@pytest.fixture(scope="module")
def site(html):
    """The address of the book."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def elsewhere(requests, site):
    return [request for request in requests if not request.startswith((f"{site}/", "data:"))]


class Links(HTMLParser):
    """The links of a page, and what they can lead to."""

    def __init__(self, page: Path):
        super().__init__()
        self.targets, self.ids = [], set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids |= {given["id"]} if given.get("id") else set()
        self.targets += [given[name] for name in ("href", "src") if given.get(name)]


def test_every_link_and_every_anchor_leads_somewhere(html):
    pages = {path: Links(path) for path in html.rglob("*.html") if "_static" not in path.parts}
    assert len(pages) > len(PAGES)
    checked, dead = 0, []
    for path, page in pages.items():
        for target in page.targets:
            file, anchor = urldefrag(target)
            if file.startswith(("http:", "https:", "mailto:", "data:")):
                continue
            there = (path.parent / unquote(file).partition("?")[0]).resolve() if file else path
            checked += 1
            if not there.is_file() or (anchor and there in pages and unquote(anchor) not in pages[there].ids):
                dead.append((path.name, target))
    assert checked > 5000 and not dead


def test_searching_finds_the_notebook_on_geometric_lengths(open_page, site, screenshots):
    page, requests = open_page(f"{site}/index.html")
    page.get_by_role("button", name="Search").first.click()
    page.get_by_role("searchbox").last.fill("geometric")
    page.keyboard.press("Enter")
    results = page.locator("#search-results li a")
    expect(results.first).to_be_visible()
    assert notebooks.title("03_span_masking") in results.all_inner_texts()
    page.screenshot(path=screenshots / "book-search.png")
    results.filter(has_text=notebooks.title("03_span_masking")).first.click()
    expect(page.locator("main")).to_contain_text("geometric")
    assert elsewhere(requests, site) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_used_by_all(open_page, site, screenshots, name, scheme):
    page, requests = open_page(f"{site}/{name}.html", color_scheme=scheme)
    assert page.locator("html").get_attribute("data-theme") == scheme
    found = Axe().run(page).response["violations"]
    grave = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    assert [
        (rule["id"], node["html"][:200], node["failureSummary"]) for rule in grave for node in rule["nodes"]
    ] == []
    assert elsewhere(requests, site) == []
    page.screenshot(path=screenshots / f"book-{name.replace('/', '-')}-{scheme}.png")


def test_the_check_of_a_page_can_fail(open_page, site):
    page, requests = open_page(f"{site}/index.html")
    page.evaluate("document.querySelector('main img').removeAttribute('alt')")
    page.evaluate("document.querySelector('main p').style.color = '#ccc'")
    found = {rule["id"] for rule in Axe().run(page).response["violations"] if rule["impact"] != "moderate"}
    assert {"image-alt", "color-contrast"} <= found
    page.evaluate("new Image().src = 'http://127.0.0.1:9/there.png'")
    page.wait_for_timeout(200)
    assert elsewhere(requests, site) == ["http://127.0.0.1:9/there.png"]


def test_a_phone_can_read_every_page(open_page, site, html, screenshots):
    page, _ = open_page(f"{site}/index.html", width=PHONE, height=844)
    names = sorted(path.relative_to(html).as_posix() for path in html.rglob("*.html"))
    for name in (name for name in names if not name.startswith(("_static", "_modules"))):
        page.goto(f"{site}/{name}")
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE, f"{name} moves sideways"
        assert page.evaluate(OUTSIDE) == [], name
    page.goto(f"{site}/notebooks/{NAMES[0]}.html")
    entry = page.get_by_role("link", name=notebooks.title(NAMES[1]), exact=True).first
    assert not entry.is_visible()
    page.locator("button.primary-toggle").click()
    expect(entry).to_be_visible()
    page.wait_for_timeout(400)  # it slides in
    page.screenshot(path=screenshots / "book-phone-menu.png")
    entry.click()
    expect(page.locator("h1").first).to_contain_text(notebooks.title(NAMES[1]))


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_a_notebook(open_page, site, name):
    page, _ = open_page(f"{site}/notebooks/{name}.html")
    repository, ref = colab.address()
    button = page.get_by_role("link", name="Open in Colab")
    assert button.get_attribute("href") == colab.link(repository, ref, name)
    cells = notebooks.read(notebooks.FOLDER / f"{name}.ipynb").cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    images = page.locator("main .cell_output img").evaluate_all(IMAGES)
    assert len(images) == sum("image/png" in output.get("data", {}) for output in outputs)
    assert all(size > 20 and len(words) > 30 for words, size in images), images
    setup = page.get_by_text("DRIVE =").first
    assert not setup.is_visible()
    page.locator("details.hide summary").first.click()
    expect(setup).to_be_visible()
    for number, solution in enumerate(page.locator("main details:not(.hide)").all()):
        assert solution.locator("xpath=./*[2]").is_visible() is False, f"fold {number} is open"
