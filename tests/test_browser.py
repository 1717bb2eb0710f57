"""The demo and a report, as a person sees them in a browser."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import pytest
from browser import find_missing, open_browser, prefer
from commands import run
from small_checkpoints import TEXTS
from spacy.tokens import DocBin
from taught_pipelines import GOLD, make_examples, make_taught_pipeline
from waiting import PATIENCE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        bool(find_missing()), reason=f"missing: {', '.join(find_missing())}; `make test` installs it where it can"
    ),
]

# A server that may listen, and talk to itself, but tells whom else it would talk to.
SERVE = """
import signal, socket, sys

# A process that was started in the background may have been told to ignore Ctrl+C.
signal.signal(signal.SIGINT, signal.default_int_handler)

def watch(name):
    ask = getattr(socket.socket, name)
    def asked(self, address):
        if self.family != socket.AF_UNIX and address[0] != "127.0.0.1":
            print("asked", address, flush=True)
            raise OSError("no network here")
        return ask(self, address)
    setattr(socket.socket, name, asked)

watch("connect"), watch("connect_ex")
from spacy_bertft.cli import app
app(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def browser():
    with open_browser() as opened:
        yield opened


@contextmanager
def narrow(browser) -> Iterator[None]:
    """Make the window as narrow as a telephone."""
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        yield
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory, checkpoint):
    """Give the folder of a pipeline that finds entities and has one category, and of one that has several."""
    folder = tmp_path_factory.mktemp("browser")
    gold = {name: GOLD[name] for name in ("bert_ner", "bert_textcat")}
    nlp = make_taught_pipeline(checkpoint, gold)
    nlp.to_disk(folder / "films")
    nlp.remove_pipe("bert_ner")
    nlp.to_disk(folder / "kinds")
    return folder / "films"


@contextmanager
def serve(*arguments: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the demo, and give the address of its page and its process."""
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", SERVE, "demo", *map(str, arguments), "--no-browser"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            said = process.stdout.readline()
            [url] = re.findall(r"Open on (http://127\.0\.0\.1:\d+), until", said) or pytest.fail(
                said + process.stdout.read()
            )
            yield url, process
        finally:
            process.kill()


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for(browser, selector: str, text: str = ""):
    """Wait for an element that says something."""
    from selenium.webdriver.support.ui import WebDriverWait

    def find(browser):
        found = browser.find_elements("css selector", selector)
        return next((each for each in found if text in each.text and each.is_displayed()), None)

    return WebDriverWait(browser, PATIENCE).until(find, f"no {selector} with {text!r}")


def list_asked(browser) -> set[str]:
    """List the hosts that the pages since the last call have asked."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    return {re.sub(r"^(\w+:(//[^/:]*)?).*", r"\1", url, flags=re.DOTALL) for url in urls}


@pytest.mark.skipif(find_spec("gradio") is None, reason="needs the extra demo")
def test_a_person_tries_two_pipelines(browser, pipeline):
    port = find_free_port()
    with serve(pipeline, pipeline.parent / "kinds", "--port", port) as (url, process):
        browser.get(url)
        assert wait_for(browser, "h1").text == "Predictions of films, kinds"
        wait_for(browser, "textarea").send_keys(TEXTS[0] + "\n")  # Enter submits
        wait_for(browser, ".spacy-bertft-explanation", "YEAR “1980s”")
        first, second = browser.find_elements("css selector", ".columns .bertft")
        entities = [each.text for each in first.find_elements("css selector", "mark.entity")]
        assert [re.sub(r"\d+\.\d %", "%", entity) for entity in entities] == ["drew barrymoreACTOR %", "1980sYEAR %"]
        assert first.find_element("css selector", "h2").text == "films"
        assert second.find_element("css selector", "h2").text == "kinds"
        assert not second.find_elements("css selector", "mark")
        bars = second.find_elements("css selector", ".track div")
        probs = [float(each.text.rstrip(" %")) for each in second.find_elements("css selector", "td:nth-child(2)")]
        assert bars[0].size["width"] / bars[1].size["width"] == pytest.approx(probs[0] / probs[1], rel=0.05)
        assert [each.text for each in second.find_elements("css selector", "th")] == ["film", "other"]

        assert first.location["y"] == second.location["y"]
        with narrow(browser):
            assert second.location["y"] >= first.location["y"] + first.size["height"]

        wait_for(browser, "button", "San Francisco").click()  # one of spaCy's sentences
        wait_for(browser, ".columns .bertft", "San Francisco")
        assert "San Francisco" in wait_for(browser, "textarea").get_attribute("value")

        # A text without a prediction is reported in one line, for both columns.
        wait_for(browser, "textarea").clear()
        wait_for(browser, "textarea").send_keys(" ")
        wait_for(browser, "button.primary").click()
        wait_for(browser, "[role=alert]", "The text is empty. Expected a text with words.")
        assert len(browser.find_elements("css selector", "[role=alert]")) == 1

        assert list_asked(browser) <= {"http://127.0.0.1", "data:"}
        with pytest.raises(ConnectionRefusedError):  # on this machine, but under another of its addresses
            socket.create_connection(("127.0.0.2", port), timeout=PATIENCE)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
        assert "asked" not in said
        assert "Traceback" not in said


# Of the words alone: a row is as high as its highest cell.
HEIGHTS_OF_LABELS = """
return [...document.querySelectorAll("tbody th")].map(each => {
  const words = document.createRange();
  words.selectNodeContents(each);
  return words.getBoundingClientRect().height;
});
"""


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs the extra plot")
def test_a_report_is_read_without_scripts(browser, pipeline, tmp_path):
    import spacy

    nlp = spacy.load(pipeline)
    gold = [GOLD["bert_ner"][i] | GOLD["bert_textcat"][i] for i in range(4)]
    gold[1]["entities"] = []  # what is found there will count as an error
    DocBin(docs=[example.reference for example in make_examples(nlp, gold)]).to_disk(tmp_path / "dev.spacy")
    run("spacy_bertft", "report", pipeline, "dev.spacy", "report.html", "--resamples", "20", cwd=tmp_path)
    list_asked(browser)  # by pages before this one
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get((tmp_path / "report.html").as_uri())
        assert browser.title == "films on dev.spacy"
        assert wait_for(browser, "mark.entity.wrong").text == "the godfatherTITLE – wrong"
        assert wait_for(browser, "figure", "gold").text.endswith(TEXTS[1])
        pictures = browser.find_elements("css selector", "svg")
        assert len(pictures) >= 3
        assert all(picture.is_displayed() and picture.size["height"] > 50 for picture in pictures)
        row = wait_for(browser, "tr", "TITLE")
        assert re.match(r"TITLE 66\.67 \(.*\) 50\.00 \(.*\) 100\.00 \(.*\) 1$", row.text.replace("\n", " "))
        papers = []
        for theme in ("light", "dark"):
            prefer(browser, theme)
            papers.append(browser.find_element("css selector", "body").value_of_css_property("background-color"))
        assert papers == ["rgba(253, 253, 252, 1)", "rgba(23, 27, 33, 1)"]
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    with narrow(browser):
        heights = browser.execute_script(HEIGHTS_OF_LABELS)
        assert 0 < max(heights) < 60  # two lines at most
    assert list_asked(browser) <= {"file://", "data:"}
