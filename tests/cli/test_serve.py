"""What `serve` says before it listens; the server itself is tested in `tests/serving`."""

from __future__ import annotations

import re
import socket
import sys
from types import ModuleType

import pytest
from typer.testing import CliRunner

from spacy_bertft.cli import app


def check_one_line(problem, *arguments):
    done = CliRunner().invoke(app, ["serve", *map(str, arguments)])
    assert done.exit_code == 1
    assert re.fullmatch(r"Error: .*\n", done.stderr)
    assert problem in done.stderr


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "prometheus_client"])
def test_a_missing_extra_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    check_one_line("The server needs an extra. Install it with: pip install 'spacy-bertft[serve]'", "any")


@pytest.fixture
def extra(monkeypatch):
    """Replace the package for metrics, which is not needed before the server listens."""
    pytest.importorskip("uvicorn", reason="needs the extra serve")
    monkeypatch.setitem(sys.modules, "prometheus_client", ModuleType("prometheus_client"))


@pytest.mark.usefixtures("extra")
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--workers", 0], "workers = 0. Expected a number above 0."),
        (["--max-batch-chars", 0], "max_batch_chars = 0. Expected a number above 0."),
        (["--queue-size", -1], "queue_size = -1. Expected a number above 0."),
        (["--max-chars", 0], "max_chars = 0. Expected a number above 0."),
        (["--max-body-mb", "nan"], "max_body_mb = nan. Expected a number above 0."),
        (["--max-delay-ms", -1], "max_delay_ms = -1.0. Expected 0 or more milliseconds."),
        (["--port", 65536], "port = 65536. Expected a number from 0 to 65535."),
        (["--host", "256.0.0.1"], "host and port = '256.0.0.1:8000'. Expected an address that is free;"),
    ],
)
def test_settings(ruler, options, problem):
    check_one_line(problem, ruler, *options)


@pytest.mark.usefixtures("extra")
def test_pipelines(ruler, tmp_path):
    check_one_line("none is no pipeline. Expected a folder", tmp_path / "none")
    check_one_line("Expected each pipeline once.", ruler, ruler)


@pytest.mark.usefixtures("extra")
def test_a_port_in_use(ruler):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        check_one_line(f"host and port = '127.0.0.1:{port}'. Expected an address that is free;", ruler, "--port", port)
