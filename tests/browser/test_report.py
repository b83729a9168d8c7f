"""The report and the pages of the notebooks: alone, on paper, on a phone, and read aloud."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from axe_playwright_python.sync_playwright import Axe

from helpers import experiment, figures, settings, verdicts
from helpers.coursework import exercises, grading
from helpers.coursework.collecting import Finding, Submission
from helpers.coursework.grading import Grade, Outcome
from helpers.publishing import notebooks, pages, report

NAMES = [path.stem for path in notebooks.paths()]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
PHONE, PAPER = 360, 680  # widths in CSS pixels; A4 with margins of 1.5 cm is 180 mm wide
CUT_OFF = """() => [document.documentElement, ...document.querySelectorAll(".wide, table, img")]
    .filter(element => element.scrollWidth > element.clientWidth + 1
        || element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map(element => element.tagName)"""
IMAGES = """images => images.map(image => [
    image.alt, image.complete && Math.min(image.naturalWidth, image.naturalHeight, image.width, image.height)
])"""


def of_the_reference(out):
    """The report on the committed table, beside the pages of the committed notebooks."""
    (out / "notebooks").mkdir()
    for path in notebooks.paths():
        pages.to_html(shutil.copy(path, out / "notebooks" / path.name))
    table = experiment.laptop_run()
    figures.save(figures.f1_by_entity_length(table), out / "f1_by_entity_length")
    report.write(
        settings.choose("laptop", out=out),
        table,
        verdicts.judge(table, cost=experiment.laptop_run_costs()),
        plan="The committed run.",
        notes=["train.txt: IO tags were converted to IOB2."],
        pages=sorted((out / "notebooks").glob("*.html")),
    )


def of_a_run(out):
    """What a run at smoke scale leaves."""
    command = [sys.executable, "-m", "helpers", "run", "--scale", "smoke", "--out", str(out)]
    paths = os.pathsep.join(filter(None, [str(settings.ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, cwd=settings.ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module", params=[of_the_reference, pytest.param(of_a_run, marks=pytest.mark.slow)])
def folder(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    request.param(out)
    return out


def violations(page):
    """What axe-core finds wrong with a page: rule, element and reason."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [
        (rule["id"], node["html"][:200], node["failureSummary"]) for rule in found for node in rule["nodes"]
    ]


def not_its_own(requests):
    """Requests for anything but the page itself and what it holds."""
    return [request for request in requests[1:] if not request.startswith("data:")]


def test_the_check_of_accessibility_can_fail(open_page):
    page, _ = open_page("data:text/html,<p style='color:%23bbb'>pale</p><img src='data:,'>")
    assert {"color-contrast", "image-alt", "html-has-lang"} <= {rule for rule, *_ in violations(page)}


def test_the_report_holds_all_and_needs_nothing_else(open_page, folder, screenshots):
    page, requests = open_page((folder / "report.html").as_uri())
    assert "named entities better" in page.locator("main > p").first.inner_text()
    [(words, size)] = page.locator("img").evaluate_all(IMAGES)
    assert size > 100 and "span masking: 1 " in words
    judged = page.get_by_role("region", name="The five verdicts").locator("tbody td:nth-child(2)")
    assert judged.count() == 7  # statement 3 has three parts
    assert set(judged.all_inner_texts()) <= {
        "supported",
        "contradicted",
        "depends on the target",
        "cannot tell",
    }
    assert re.search(r"Python 3\.\d+.*torch.*processors", page.inner_text("main"), flags=re.DOTALL)
    assert not_its_own(requests) == []
    page.screenshot(path=screenshots / "report.png", full_page=True)


@pytest.mark.parametrize("width", [1280, PHONE])
def test_the_report_can_be_used_by_all(open_page, folder, screenshots, width):
    page, _ = open_page((folder / "report.html").as_uri(), width=width)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page moves sideways"
    page.screenshot(path=screenshots / f"report-{width}.png", full_page=True)


def test_the_report_fits_on_paper(open_page, folder, screenshots):
    page, _ = open_page((folder / "report.html").as_uri(), width=PAPER)
    page.emulate_media(media="print")
    assert page.evaluate(CUT_OFF) == []
    pdf = page.pdf(path=screenshots / "report.pdf", format="A4", prefer_css_page_size=True)
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf)) <= 4


def test_the_report_leads_to_each_notebook(open_page, folder):
    page, _ = open_page((folder / "report.html").as_uri())
    links = page.locator("a")
    targets = links.evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert targets == [f"notebooks/{name}.html" for name in NAMES]
    for number, name in enumerate(NAMES):
        text = links.nth(number).inner_text()
        links.nth(number).click()
        assert text == notebooks.title(name) and page.locator("h1").inner_text().startswith(text)
        page.go_back()


def test_the_pages_of_the_notebooks_lead_to_each_other(open_page, folder):
    page, _ = open_page((folder / "notebooks" / f"{NAMES[0]}.html").as_uri())
    for name in NAMES[1:]:
        page.get_by_text("Next:").last.locator("xpath=ancestor-or-self::p").locator("a").click()
        assert page.url.endswith(f"/{name}.html")
    assert page.locator("a[href$='.ipynb']").count() == 0


@pytest.mark.parametrize(
    "name", [NAMES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[1:])]
)
def test_the_page_of_a_notebook_can_be_used_by_all(open_page, folder, screenshots, name):
    page, requests = open_page((folder / "notebooks" / f"{name}.html").as_uri())
    assert violations(page) == []
    assert not_its_own(requests) == []
    images = page.locator("img").evaluate_all(IMAGES)
    cells = notebooks.read(folder / "notebooks" / f"{name}.ipynb").cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    assert len(images) == sum("image/png" in output.get("data", {}) for output in outputs)
    assert all(size > 20 and len(words) > 30 for words, size in images), images
    page.screenshot(path=screenshots / f"{name}-page.png")
    page.set_viewport_size({"width": PHONE, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE, "the page moves sideways"


def test_the_feedback_of_a_student_can_be_used_by_all(open_page, screenshots, tmp_path):
    findings = [Finding("ada/02.ipynb", "the check token_masking_1 was changed", "ours is used", True)]
    submission = Submission("ada", 0, {}, {"own_verdict": "It cannot tell. " * 40}, findings)
    points = [point for task in exercises.all_exercises() for point in task.points]
    outcomes = {point.name: Outcome(number % 2, "a mistake, " * 9) for number, point in enumerate(points)}
    grading.write_page(Grade(submission, outcomes), tmp_path / "ada.html")
    page, requests = open_page((tmp_path / "ada.html").as_uri())
    assert violations(page) == [] and not_its_own(requests) == []
    page.screenshot(path=screenshots / "feedback.png", full_page=True)
    page.set_viewport_size({"width": PHONE, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE, "the page moves sideways"
