"""The documentation that `make docs` builds: contents on top of long pages, and a search that finds the usual terms."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from browser import find_missing, open_browser
from waiting import PATIENCE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(find_missing()), reason=f"missing: {', '.join(find_missing())}"),
    pytest.mark.skipif(find_spec("sphinx") is None, reason="needs Sphinx, which `make test` installs"),
]

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TERMS = "gpu, openvino, quantize, cupy, mixed precision, active learning, temperature scaling, early stopping"
TERMS += ", checkpoint, resume"


@pytest.fixture(scope="module")
def built() -> Path:
    """Build what `make docs` builds, where it does; what it has built already is not built again."""
    folder = ROOT / "build" / "docs"
    subprocess.run([sys.executable, "-m", "sphinx", "--builder", "html", "--quiet", DOCS, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with open_browser(1280, 900) as opened:
        yield opened


def test_pages_of_more_than_three_screens_begin_with_a_table_of_contents(built, browser):
    without = []
    for page in sorted(path for path in built.rglob("*.html") if path.stem not in ("genindex", "search")):
        browser.get(page.as_uri())
        links = browser.find_elements("css selector", "article a[href^='#']:not(.headerlink)")
        has_contents = sum(link.location["y"] < 900 for link in links) > 1
        if browser.execute_script("return document.documentElement.scrollHeight") > 3 * 900 and not has_contents:
            without.append(page.relative_to(built).as_posix())
    assert without == []


@pytest.mark.parametrize("term", TERMS.split(", "))
def test_the_search_finds(term, built, browser):
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(f"{(built / 'search.html').as_uri()}?q={term.replace(' ', '+')}")
    found = WebDriverWait(browser, PATIENCE).until(
        lambda page: page.find_elements("css selector", "#search-results li a"), f"nothing for {term}"
    )
    assert found
