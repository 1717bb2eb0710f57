"""What `demo` says before a page is open; the page itself is driven by `tests/test_browser.py`."""

from __future__ import annotations

import re
import socket
import sys
from types import ModuleType

import pytest
import spacy
from typer.testing import CliRunner

from spacy_bertft.cli import app


def invoke(*arguments):
    return CliRunner().invoke(app, ["demo", *map(str, arguments), "--no-browser"])


def check_one_line(done, problem):
    assert done.exit_code == 1
    assert re.fullmatch(r"Error: .*\n", done.stderr)
    assert problem in done.stderr


@pytest.fixture
def gradio(monkeypatch):
    """Stand in for Gradio, which is not needed for what comes before the page."""
    monkeypatch.setitem(sys.modules, "gradio", ModuleType("gradio"))
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "")  # set by the command; undone at the end


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "")
    check_one_line(invoke("any"), "The demo needs an extra. Install it with: pip install 'spacy-bertft[demo]'")


@pytest.mark.usefixtures("gradio")
def test_a_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        check_one_line(invoke("any", "--port", port), f"port = {port}. Expected a port that is free")


@pytest.mark.usefixtures("gradio")
@pytest.mark.parametrize("port", [0, 65536])
def test_no_port(port):
    check_one_line(invoke("any", "--port", port), f"port = {port}. Expected a number from 1 to 65535.")


@pytest.mark.usefixtures("gradio")
def test_a_pipeline_without_our_components(tmp_path):
    spacy.blank("en").to_disk(tmp_path / "blank")
    check_one_line(invoke(tmp_path / "blank", "--port", find_port()), "a pipeline with a component of ours")
    check_one_line(invoke(tmp_path / "none", "--port", find_port()), "none is no pipeline. Expected a folder")
    both = invoke(tmp_path / "blank", tmp_path / "blank", "--port", find_port())
    check_one_line(both, "Expected each pipeline once.")


def find_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
