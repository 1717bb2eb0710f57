"""Take the screenshots of the README and the documentation: entities, a report, an explanation, the demo.

    python assets/screenshots.py ENTITIES ENTITIES.spacy CATEGORIES CATEGORIES.spacy [--theme dark] [--output FOLDER]

A pipeline that finds entities and one that classifies texts, each with documents that it was not trained on. Needs the
extras `demo`, `explain` and `plot`, and Debian's `chromium` and `chromium-driver` (`make browser`).
"""

from __future__ import annotations

import argparse
import base64
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import spacy
from browser import find_missing, open_browser, prefer
from spacy import displacy

from spacy_bertft.demo.server import open_demo
from spacy_bertft.evaluation.report import report
from spacy_bertft.explanation.pipeline import explain
from spacy_bertft.output import replace_when_done

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

WIDTH = 1200
N_PREDICTIONS = 8
QUERIES = (
    "show me films with drew barrymore from the 1980s",
    "is there a pg 13 romantic comedy directed by nora ephron",
    "who sang my heart will go on in titanic",
)
TEXT = "show me a gorgeous 1980s film by steven spielberg that never gets boring"


def save_top(browser: WebDriver, path: Path, height: int) -> None:
    """Save the top of a page, or all of it where it is shorter."""
    height = min(height, browser.execute_script("return document.documentElement.scrollHeight"))
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": height, "scale": 1}
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    with replace_when_done(path) as temporary_path:
        temporary_path.write_bytes(base64.b64decode(taken["data"]))


def ask(browser: WebDriver, url: str, n_columns: int) -> None:
    """Type a text into the demo, have it explained by gradients, and wait for the answers."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(url)
    wait = WebDriverWait(browser, 120)
    wait.until(lambda page: page.find_elements("css selector", "textarea"))[0].send_keys(TEXT)
    browser.find_element("css selector", "input[type=radio][value=gradients]").click()
    browser.find_element("css selector", "button.primary").click()
    drawn = ".bertft:has(.spacy-bertft-explanation)"
    wait.until(lambda page: len(page.find_elements("css selector", drawn)) == n_columns)
    wait.until(lambda page: not page.find_elements("css selector", ".pending, .generating"))


def take_screenshots(entities: Path, entities_data: Path, categories: Path, categories_data: Path, options) -> None:
    """Take all screenshots."""
    folder: Path = options.output
    with tempfile.TemporaryDirectory() as pages, open_browser(WIDTH) as browser:
        prefer(browser, options.theme)
        page = Path(pages) / "entities.html"
        docs = list(spacy.load(entities).pipe(QUERIES))
        drawn = displacy.render(docs, style="ent", jupyter=False)
        style = "font-family: sans-serif; zoom: 1.5"
        page.write_text(f'<meta charset="utf-8"><body style="{style}">{drawn}', encoding="utf-8")
        browser.get(page.as_uri())
        save_top(browser, folder / "entities.png", 205)

        page = Path(pages) / "report.html"
        report(entities, entities_data, page)
        browser.get(page.as_uri())
        save_top(browser, folder / "report.png", 1000)

        page = Path(pages) / "explanation.html"
        explain(categories, str(categories_data), page, limit=N_PREDICTIONS)
        browser.get(page.as_uri())
        save_top(browser, folder / "explanation.png", 900)

        demo = open_demo([entities, categories], options.port, data_path=entities_data, open_browser=False)
        try:
            ask(browser, demo.url, 2)
            save_top(browser, folder / "demo.png", 900)
        finally:
            demo.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("entities", "entities_data", "categories", "categories_data"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    parser.add_argument("--port", type=int, default=7861)
    arguments = parser.parse_args()
    missing = find_missing()
    if missing:
        parser.error(f"missing: {', '.join(missing)}")
    take_screenshots(
        arguments.entities, arguments.entities_data, arguments.categories, arguments.categories_data, arguments
    )
