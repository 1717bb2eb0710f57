"""Debian's Chromium without a window, for screenshots and for tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

PROGRAMS = ("chromium", "chromedriver")
# It is shown pages of this machine, and has no other to ask.
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # which does not start for root
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def find_missing() -> list[str]:
    """List what is missing for a browser: programs, or the package that drives it."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    return missing if find_spec("selenium") else [*missing, "selenium"]


@contextmanager
def open_browser(width: int = 1200, height: int = 900) -> Iterator[WebDriver]:
    """Open a browser, and close it at the end."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (*_ARGUMENTS, f"--window-size={width},{height}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    # The path is given, so that selenium looks for no driver elsewhere.
    browser = Chrome(options, Service(shutil.which("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


def prefer(browser: WebDriver, theme: str) -> None:
    """Let pages know that the reader prefers a `light` or a `dark` theme."""
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
