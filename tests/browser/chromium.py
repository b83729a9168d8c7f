"""Where a Chromium is, and how to get one:   python tests/browser/chromium.py"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Playwright, sync_playwright

ON_THE_PATH = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find(playwright: Playwright) -> str | None:
    """The Chromium on the PATH, or else the one that `playwright install chromium` fetched, or else None."""
    own = playwright.chromium.executable_path
    return next(filter(None, map(shutil.which, ON_THE_PATH)), own if Path(own).exists() else None)


def install() -> None:
    """Fetches a Chromium: for root on Debian its own, with all that it needs; elsewhere Playwright's.

    Raises:
        subprocess.CalledProcessError: the installer failed; its output says why.
    """
    debian = sys.platform == "linux" and platform.freedesktop_os_release().get("ID") == "debian"
    if debian and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"], check=True)
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


if __name__ == "__main__":
    with sync_playwright() as playwright:
        found = find(playwright)
    if found is None:
        install()
