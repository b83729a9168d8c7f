"""A real browser, and a JupyterLab on a copy of the project, so that no committed output is touched."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser.chromium import ON_THE_PATH, find

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "data" / "runs" / "browser"
KEPT = pytest.StashKey[Path]()
QUIET = [  # nothing but the pages under test
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OVERRIDES = """{
  "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
  "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}
}"""  # by default cells out of sight leave the page, and a picture that isn't there cannot be looked at


@pytest.fixture(scope="module")
def browser():
    """A Chromium: the one on the PATH, or the one that `playwright install chromium` fetched.

    Per module, because Playwright keeps an event loop running, in which nbmake's notebooks could not run.
    """
    with sync_playwright() as playwright:
        found = find(playwright)
        if found is None:
            pytest.fail(
                f"No browser: none of {', '.join(ON_THE_PATH)} is on the PATH, and Playwright has none "
                "either. `make test-browser` installs one; so do `apt-get install chromium` on Debian and "
                "`.venv/bin/playwright install chromium`.",
                pytrace=False,
            )
        root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium's sandbox refuses to start for root
        chromium = playwright.chromium.launch(
            executable_path=found, args=QUIET + ["--no-sandbox"] * root, chromium_sandbox=not root
        )
        expect.set_options(timeout=60_000)  # milliseconds; the usual 5 seconds are few on a busy machine
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def screenshots(request):
    """The folder where pictures of what was tested are kept for a look."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    request.config.stash[KEPT] = SCREENSHOTS
    return SCREENSHOTS


def pytest_terminal_summary(terminalreporter, config):
    if folder := config.stash.get(KEPT, None):
        terminalreporter.write_line(f"Screenshots: {folder}")


@pytest.fixture
def open_page(browser):
    """Opens an address in a fresh browser; returns the page and the list of all requests that it makes."""
    contexts = []

    def open_(address, width=1280, height=1000, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page, requests = context.new_page(), []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        return page, requests

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A copy of what a reader downloads, as far as the notebooks use it, with none of its outputs."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("notebooks", "helpers", "data"):
        unneeded = shutil.ignore_patterns("runs", "__pycache__", ".ipynb_checkpoints")
        shutil.copytree(ROOT / name, copy / name, ignore=unneeded)
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


@pytest.fixture(scope="session")
def lab(project, tmp_path_factory):
    """The address of a JupyterLab in the copy, and its token as a query, at smoke scale."""
    own = tmp_path_factory.mktemp("jupyter")
    overrides = own / "data" / "lab" / "settings" / "overrides.json"
    overrides.parent.mkdir(parents=True)
    overrides.write_text(OVERRIDES, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    settings = ("OUT", "CORPUS", "TEXT", "SEED", "TAG_COLUMNS", "MODEL")
    environment = {name: value for name, value in os.environ.items() if name not in settings}
    environment |= {"SCALE": "smoke", "JUPYTER_TOKEN": token, "IPYTHONDIR": str(own / "ipython")}
    for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"):  # the reader's own settings play no part
        environment[f"JUPYTER_{name}"] = str(own / name.removesuffix("_DIR").lower())
    for name in ("SETTINGS", "WORKSPACES"):
        environment[f"JUPYTERLAB_{name}_DIR"] = str(own / name.lower())
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", f"--LabApp.app_settings_dir={overrides.parent}"]
    command += ["--allow-root"]
    log = own / "log.txt"
    address = f"http://127.0.0.1:{port}"
    with log.open("w") as lines:
        server = subprocess.Popen(command, cwd=project, env=environment, stdout=lines, stderr=lines)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=5).close()
                break
            except (URLError, ConnectionError):
                assert server.poll() is None, f"JupyterLab ended:\n{log.read_text()[-3000:]}"
                time.sleep(0.1)
        else:
            pytest.fail(f"JupyterLab did not answer within a minute:\n{log.read_text()[-3000:]}")
        yield address, f"token={token}"
    finally:
        server.terminate()  # its kernels go with it
        server.wait(timeout=60)
