"""A server in a process of its own, on loopback: starting, ending, several processes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import spacy
from all_heads import MIXED
from waiting import wait_until

pytest.importorskip("prometheus_client", reason="needs the extra serve")
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform == "win32", reason="needs signals"),
]

# A component that holds questions back until a file is there, so that requests wait when a signal comes.
HELD = """
import os, time
from pathlib import Path
from spacy.language import Language

@Language.component("hold")
def hold(doc):
    while "?" in doc.text and not Path(os.environ["GATE"]).exists():
        time.sleep(0.01)
    return doc
"""


class Server:
    """A running server.

    Attributes:
        process: Its process.
        url: Its address.
    """

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=None, trust_env=False)

    def predict(self, text: str) -> httpx.Response:
        return httpx.post(f"{self.url}/v1/predict", json={"text": text}, timeout=None, trust_env=False)

    def is_ready(self) -> bool:
        return self.get("/health").status_code == 200


@contextmanager
def run_server(*arguments: object, code: str = "") -> Iterator[Server]:
    """Run `spacy-bertft serve` on a free port, after some code."""
    call = f"{code}\nfrom spacy_bertft.entry_points.commands import run_commands\nrun_commands()"
    start = ["-c", call] if code else ["-m", "spacy_bertft"]
    command = [sys.executable, *start, "serve", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            found = next(each for line in process.stderr if (each := re.search(r"Serving .* on (http\S+),", line)))
            yield Server(process, found[1])
        finally:
            process.kill()


def test_health_from_start_to_end(served):
    with run_server(served) as server:
        assert server.get("/health/live").status_code == 200  # the pipeline takes longer to load than this
        early = server.get("/health")
        assert early.status_code == (200 if early.json()["ready"] else 503)
        wait_until(server.is_ready)
        nlp = spacy.load(served)
        for text in MIXED[:5]:
            [found] = server.predict(text).json()["predictions"]
            assert [(each["start"], each["end"], each["label"]) for each in found["ents"]] == [
                (ent.start_char, ent.end_char, ent.label_) for ent in nlp(text).ents
            ]
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait() == -signal.SIGTERM


def test_sigterm_loses_no_accepted_request(served, tmp_path, monkeypatch):
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    nlp = spacy.load(served)
    exec(HELD)
    nlp.add_pipe("hold")
    nlp.to_disk(tmp_path / "held")
    n_clients = 20
    with (
        run_server(tmp_path / "held", "--max-batch-chars", 30, code=HELD) as server,
        ThreadPoolExecutor(n_clients) as pool,
    ):
        wait_until(server.is_ready)
        answers = [pool.submit(server.predict, f"show me films {number}?") for number in range(n_clients)]
        waiting = re.compile(r'^bertft_waiting_texts{pipeline="held"} (.+)$', re.MULTILINE)
        # The other one is the batch that is held back.
        wait_until(lambda: float(waiting.search(server.get("/metrics").text)[1]) == n_clients - 1)
        server.process.send_signal(signal.SIGTERM)
        (tmp_path / "gate").touch()
        assert [each.result().status_code for each in answers] == [200] * n_clients
        assert server.process.wait() == -signal.SIGTERM
        with pytest.raises(httpx.ConnectError):
            server.get("/health")


def test_several_processes_report_the_sum(served):
    with run_server(served, "--workers", 2) as server:
        wait_until(lambda: all(server.is_ready() for _ in range(20)))
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(server.predict, MIXED * 4))
        assert {each.status_code for each in answers} == {200}
        wait_until(lambda: f'bertft_requests_total{{status="200"}} {len(answers)}.0' in server.get("/metrics").text)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait() == 0


@pytest.mark.parametrize("n_processes", [1, 2])
def test_a_pipeline_that_cannot_be_loaded(served, tmp_path, n_processes):
    spacy.load(served).to_disk(tmp_path / "damaged")
    (tmp_path / "damaged" / "bert_ner" / "model").write_bytes(b"damaged")
    with run_server(tmp_path / "damaged", "--workers", n_processes) as server:
        assert server.process.wait() == 3
        assert "bert_ner" in server.process.stderr.read()


# A machine where nothing is found to be missing before the pipeline is loaded.
UNCHECKED = "import spacy_bertft.serving.serve as serving; serving.check_gpu = lambda gpu_id: None"


def test_a_gpu_that_is_not_there(served):
    """The worker uses it, or ends the server: it does not go on without."""
    with run_server(served, "--gpu-id", 99, code=UNCHECKED) as server:

        def has_ended_or_serves() -> bool:
            with suppress(httpx.TransportError):
                return server.process.poll() is not None or server.is_ready()
            return False

        wait_until(has_ended_or_serves)
        assert server.process.poll() == 3
        assert "gpu_id = 99. Expected -1 for the CPU; " in server.process.stderr.read()


def test_a_second_server_on_the_same_port(served):
    with run_server(served) as server:
        port = server.url.rpartition(":")[2]
        command = [sys.executable, "-m", "spacy_bertft", "serve", str(served), "--port", port]
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.fullmatch(r"Error: host and port = .*Expected an address that is free; .*\n", done.stderr)


def test_the_command_that_a_container_runs(served):
    """The health check of the Dockerfile in the documentation, which has no curl."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "serve.md").read_text(encoding="utf-8")
    [check] = re.findall(r"^HEALTHCHECK .*\n +CMD (\[.*\])$", page, flags=re.MULTILINE)
    [entry] = re.findall(r"^ENTRYPOINT (\[.*\])$", page, flags=re.MULTILINE)
    program, option, code = json.loads(check)
    assert (program, option) == ("python", "-c")
    command = json.loads(entry)
    assert command[:3] == ["spacy-bertft", "serve", "en_movie_ner"]
    with run_server(served, *command[3:]) as server:
        server.url = server.url.replace("0.0.0.0", "127.0.0.1")
        wait_until(server.is_ready)
        code = code.replace("http://127.0.0.1:8000", server.url)
        assert subprocess.run([sys.executable, option, code]).returncode == 0
        server.process.kill()
        server.process.wait()
        assert subprocess.run([sys.executable, option, code], capture_output=True).returncode == 1
