"""A web server that annotates, asked by many clients at once: errors, mixed-up answers, memory.

    python reliability/server.py [--seconds 120] [--clients 200] [--style def|async] [--backend torch] [--texts 200]

The server is FastAPI's, in a process of its own, on loopback. With `--style def` its endpoint is a plain function,
which FastAPI runs in a pool of forty threads; with `--style async` it is a coroutine, so that one thread annotates.
There a memory zone lets spaCy forget the words of a text; threads that work at the same time cannot have one each.
The server has two arenas of malloc (`MALLOC_ARENA_MAX=2`): glibc would give most threads one of their own, and each
arena keeps what its largest text took. And torch keeps in every thread the kernels of its attention, one for each
length, 1.4 MB in all.

Every client asks again as soon as it is answered. In each text is a word that no other has; what comes back has to be
what this process got from the same pipeline before, to the bit. The server is asked for every text twenty times before
its memory is watched, so that nearly all threads have met all lengths. Ends with an error where an answer is wrong or
none, or where memory grows by more than one hundredth after the first quarter.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Literal

import httpx
import numpy as np
import spacy
import uvicorn
from fastapi import FastAPI
from memory import MemoryWatch, find_growth, format_parts
from pipelines import ENCODER, build_pipeline, read_answer, read_words
from pydantic import BaseModel
from spacy.language import Language

N_PARTS = 4
PATIENCE = 300  # most seconds that a client waits for an answer
START = 1200  # most seconds that the server takes to load, where a machine is busy
BACKLOG = 1024  # connections that wait to be taken
_LONGEST_QUERY, _LONGEST_TEXT = 20, 600  # words
Style = Literal["def", "async"]


class Question(BaseModel):
    """What a client sends."""

    text: str


def make_app(nlp: Language, style: Style) -> FastAPI:
    """Make an application with one endpoint."""
    app = FastAPI()
    if style == "def":

        @app.post("/")
        def annotate(question: Question) -> dict[str, Any]:
            return read_answer(nlp(question.text))

    else:

        @app.post("/")
        async def annotate_in_turn(question: Question) -> dict[str, Any]:
            with nlp.memory_zone():
                return read_answer(nlp(question.text))

    return app


def serve(pipeline: str, style: Style, listener: socket.socket) -> None:
    """Load a pipeline and serve it, until this process is ended."""
    # A client that is slow to ask again on a busy machine should not find its connection closed.
    config = uvicorn.Config(
        make_app(spacy.load(pipeline), style), log_level="warning", timeout_keep_alive=PATIENCE, backlog=BACKLOG
    )
    uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def run_server(pipeline: str, style: Style) -> Iterator[tuple[str, int]]:
    """Run a server in a process of its own; give its address and the number of the process."""
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
        host, port = listener.getsockname()
        process = multiprocessing.get_context("spawn").Process(
            target=serve, args=(pipeline, style, listener), daemon=True
        )
        process.start()
    url = f"http://{host}:{port}"
    try:
        httpx.post(url, json={"text": ""}, timeout=START, trust_env=False).raise_for_status()
        yield url, process.pid
    finally:
        process.terminate()
        process.join()


def make_texts(n_texts: int) -> list[str]:
    """Make queries, and some long texts among them; each holds a word that no other has."""
    rng = np.random.default_rng(0)
    words = read_words()
    texts = []
    for number in range(n_texts):
        n_words = rng.integers(1, _LONGEST_TEXT if number % 20 == 19 else _LONGEST_QUERY)
        chosen = [words[index] for index in rng.integers(len(words), size=n_words)]
        chosen.insert(rng.integers(n_words + 1), f"m{number}arker")
        texts.append(" ".join(chosen))
    return texts


@dataclass
class Report:
    """What the clients have seen.

    Attributes:
        seconds: How long each answer took that is right.
        wrong: What was asked where the answer is another.
        errors: What went wrong where there is none.
    """

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


async def ask(client: httpx.AsyncClient, text: str, expected: dict[str, Any], report: Report) -> None:
    """Ask once, and look whether the answer is right."""
    start = monotonic()
    try:
        response = await client.post("/", json={"text": text})
        response.raise_for_status()
    except httpx.HTTPError as error:
        report.errors.append(f"{type(error).__name__}: {error} for {text[:60]!r}")
        return
    if response.json() == expected:
        report.seconds.append(monotonic() - start)
    else:
        report.wrong.append(f"a wrong answer for {text[:60]!r}")


async def ask_all(
    url: str, answers: dict[str, dict[str, Any]], n_clients: int, seconds: float, n_questions: int | None = None
) -> Report:
    """Let clients ask side by side, text after text, for some time or until so many questions are asked.

    Args:
        url: The server.
        answers: The right answer to each text.
        n_clients: How many clients there are.
        seconds: When they stop.
        n_questions: How many questions they ask together, at most.
    """
    report, texts = Report(), list(answers)
    numbers = iter(range(sys.maxsize if n_questions is None else n_questions))
    end = monotonic() + seconds
    limits = httpx.Limits(max_connections=n_clients, max_keepalive_connections=n_clients)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=PATIENCE, trust_env=False) as client:

        async def keep_asking() -> None:
            for number in numbers:
                if monotonic() > end:
                    return
                text = texts[number % len(texts)]
                await ask(client, text, answers[text], report)

        await asyncio.gather(*(keep_asking() for _ in range(n_clients)))
    return report


def run(
    pipeline: str, style: Style, answers: dict[str, dict[str, Any]], n_clients: int, n_rounds: int, seconds: float
) -> float:
    """Serve and ask; print what was seen, and return the growth of memory.

    Raises:
        SystemExit: An answer was wrong, or none.
    """
    with run_server(pipeline, style) as (url, pid):
        first = asyncio.run(ask_all(url, answers, n_clients, START, n_rounds * len(answers)))
        with MemoryWatch(seconds, N_PARTS, pid) as watch:
            report = asyncio.run(ask_all(url, answers, n_clients, seconds))
    wrong, errors = first.wrong + report.wrong, first.errors + report.errors
    print(f"{style}: {n_clients} clients, {len(first.seconds):,} right answers before the clock starts")
    print(f"{len(report.seconds):,} right answers in {seconds:g} s; {len(wrong)} wrong, {len(errors)} errors")
    median, late = np.quantile(report.seconds, [0.5, 0.99])
    print(f"an answer took {median:.2f} s, of a hundred one {late:.2f} s")
    print(format_parts(watch.parts, "quarter"))
    growth = find_growth(watch.parts)
    print(f"growth of the mean after the first quarter, at most: {growth:+.2%}")
    if wrong or errors:
        sys.exit("\n".join([*wrong, *errors][:10]))
    return growth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--style", choices=("def", "async"), default="def")
    parser.add_argument("--texts", type=int, default=200, help="how many different texts")
    parser.add_argument("--rounds", type=int, default=20, help="how often all are asked for before the clock starts")
    parser.add_argument("--encoder", default=ENCODER)
    parser.add_argument("--backend", default="torch", choices=("torch", "openvino"))
    parser.add_argument("--limit", type=float, default=0.01, help="how much the memory of the server may grow")
    arguments = parser.parse_args()
    os.environ["MALLOC_ARENA_MAX"] = "2"  # for the server; this process has read it already
    nlp = build_pipeline(arguments.encoder, backend=arguments.backend)
    answers = {text: read_answer(nlp(text)) for text in make_texts(arguments.texts)}
    with tempfile.TemporaryDirectory() as folder:
        nlp.to_disk(folder)
        growth = run(folder, arguments.style, answers, arguments.clients, arguments.rounds, arguments.seconds)
    if growth > arguments.limit:
        sys.exit(f"the memory of the server grew by {growth:.2%}")


if __name__ == "__main__":
    main()
