"""Each notebook in JupyterLab, as a reader uses it: run, restarted in the middle, run again, looked at."""

import re

import pytest
from playwright.sync_api import expect

from helpers.publishing import notebooks

NAMES = [path.stem for path in notebooks.paths()]
QUICK = "03_span_masking"  # the one with the mask panel; the others take minutes together
MINUTE = 60_000  # milliseconds

RUN = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell .jp-InputArea-prompt"
STOPPED = """([prompts, share, outputs, traceback]) => {
    const failed = [...document.querySelectorAll(outputs)].some(one => one.textContent.includes(traceback));
    const all = [...document.querySelectorAll(prompts)].map(prompt => prompt.textContent);
    return failed || all.filter(text => /^\\[\\d+\\]:$/.test(text)).length >= share * all.length;
}"""
STDERR = ".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']"
TRACEBACK = "Traceback (most recent call last)"
SIZES = """images => images.map(image => {
    const box = image.getBoundingClientRect();
    const room = image.closest(".jp-OutputArea-output").getBoundingClientRect();
    const whole = image.complete && box.left >= room.left && box.right <= room.right + 1;
    return [whole, image.naturalWidth, image.naturalHeight, box.width, box.height];
})"""
DIGEST = """async image => {
    const bytes = await (await fetch(image.src)).arrayBuffer();
    const hash = await crypto.subtle.digest("SHA-256", bytes);
    return Array.from(new Uint8Array(hash)).join();
}"""


class Notebook:
    """A notebook that is open in JupyterLab."""

    def __init__(self, page):
        self.page = page
        self.panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        self.images = self.panel.locator(".jp-OutputArea-output img")
        self.idle()

    def menu(self, name, entry):
        self.page.get_by_role("menuitem", name=name, exact=True).click()
        self.page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{re.escape(entry)}$")).click()

    def idle(self):
        """Waits for a kernel that is there and has nothing to do: what is run before it is there, is lost."""
        status = self.page.locator("#jp-main-statusbar")
        expect(status).to_contain_text("Python 3 (ipykernel) | Idle", timeout=2 * MINUTE)

    def start(self):
        """Run All, with no outputs of an earlier run to take for new ones."""
        self.menu("Edit", "Clear Outputs of All Cells")
        expect(self.panel.locator(".jp-CodeCell .jp-OutputArea-output")).to_have_count(0)
        self.menu("Run", "Run All Cells")

    def restart(self):
        self.menu("Kernel", "Restart Kernel…")
        with self.page.expect_response(re.compile(r"/api/kernels/.*/restart")):
            self.page.locator(".jp-Dialog .jp-mod-accept").click()
        expect(self.page.locator(".jp-Dialog")).to_have_count(0)
        expect(self.panel.locator(".jp-CodeCell .jp-InputArea-prompt", has_text="*")).to_have_count(0)
        self.idle()

    def wait(self, share=1):
        """Until this share of the code cells has run; none of them may fail."""
        self.page.wait_for_function(STOPPED, arg=[RUN, share, STDERR, TRACEBACK], timeout=5 * MINUTE)
        assert self.panel.locator(STDERR, has_text=TRACEBACK).all_inner_texts() == []

    def pictures(self, folder, name):
        """Keeps the whole notebook, from top to bottom, as a few tall images."""
        outer = self.panel.locator(".jp-WindowedPanel-outer")
        self.page.set_viewport_size({"width": 1280, "height": 6000})
        whole, shown = outer.evaluate("notebook => [notebook.scrollHeight, notebook.clientHeight]")
        written = whole - shown + 100  # below the last cell there is room to scroll it to the top
        for number, top in enumerate(range(0, written, shown), start=1):
            outer.evaluate("(notebook, top) => notebook.scrollTop = top", top)
            outer.screenshot(path=folder / f"{name}-{number}.png")
        self.page.set_viewport_size({"width": 1280, "height": 1000})


@pytest.fixture
def open_notebook(open_page, lab):
    """Opens a notebook in a JupyterLab with nothing else in it."""
    address, token = lab

    def open_(name):
        page, _ = open_page(f"{address}/lab/tree/notebooks/{name}.ipynb?reset&{token}")
        page.set_default_timeout(MINUTE)
        page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell", timeout=2 * MINUTE)
        return Notebook(page)

    return open_


def figures(name):
    """How many pictures the committed notebook holds."""
    cells = notebooks.read(notebooks.FOLDER / f"{name}.ipynb").cells
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def links(name):
    """Text and target of each link to another notebook of the series."""
    cells = notebooks.read(notebooks.FOLDER / f"{name}.ipynb").cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return sorted(set(re.findall(r"(?<!!)\[([^]]+)\]\((\w+\.ipynb)\)", prose)))


def check_images(notebook, name):
    """Every figure is there, has a size on the page, and is not cut at its side."""
    expect(notebook.images).to_have_count(figures(name))
    for image in notebook.images.all():
        image.scroll_into_view_if_needed()
        expect(image).to_be_visible()
    sizes = notebook.images.evaluate_all(SIZES)
    assert all(whole and min(size) > 20 for whole, *size in sizes), sizes


def check_panel(notebook):
    """The picture of the mask panel, and the words for those who cannot see it, follow its controls."""
    panel = notebook.panel.locator(".widget-vbox", has=notebook.page.locator(".noUi-handle")).last
    image = panel.locator("img")
    picture, words = image.evaluate(DIGEST), image.get_attribute("alt")
    rate = panel.locator(".widget-inline-hbox", has_text="mask rate")
    rate.locator(".noUi-handle").focus()
    notebook.page.keyboard.press("ArrowRight")
    expect(rate.locator(".widget-readout")).to_have_text("0.2")
    expect(image).not_to_have_attribute("alt", words)
    slid, words = image.evaluate(DIGEST), image.get_attribute("alt")
    panel.locator("select").select_option("token")
    expect(image).not_to_have_attribute("alt", words)
    assert len({picture, slid, image.evaluate(DIGEST)}) == 3
    check_images(notebook, QUICK)
    return panel


def check_links(notebook, name):
    """Each link to a notebook opens that notebook beside this one."""
    current = notebook.page.locator(".lm-TabBar-tab.jp-mod-current.lm-mod-current .lm-TabBar-tabLabel")
    for text, target in links(name):
        notebook.panel.get_by_role("link", name=text, exact=True).first.click()
        expect(current).to_have_text(target, timeout=MINUTE)
        expect(notebook.panel.locator("h1").first).to_be_visible(timeout=MINUTE)
        notebook.page.locator(".lm-TabBar-tabLabel", has_text=f"{name}.ipynb").first.click()
        expect(current).to_have_text(f"{name}.ipynb")


@pytest.mark.parametrize(
    "name", [name if name == QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_a_notebook_in_jupyterlab(open_notebook, screenshots, name):
    notebook = open_notebook(name)
    notebook.start()
    notebook.wait(share=0.3)
    notebook.restart()
    notebook.start()
    notebook.wait()
    notebook.idle()
    check_images(notebook, name)
    if name == QUICK:
        check_panel(notebook).screenshot(path=screenshots / f"{name}-panel.png")
    notebook.pictures(screenshots, name)
    check_links(notebook, name)
    notebook.page.screenshot(path=screenshots / f"{name}-next.png")
