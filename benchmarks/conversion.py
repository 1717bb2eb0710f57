"""How fast `convert` is, and how much memory it takes next to the Docs that it writes.

python benchmarks/conversion.py bio --tokens 1000000
python benchmarks/conversion.py jsonl --megabytes 1000 --split

Sentences are those of assets/movie, over and over, with other numbers in them.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from unittest.mock import patch

from spacy_bertft.data import convert, convert_spans, convert_texts
from spacy_bertft.data.packed import DocWriter

SENTENCES = Path(__file__).parent.parent / "assets/movie/train.bio"
_N_SENTENCES = 20  # of a text of about one kilobyte


def read_sentences() -> list[str]:
    return SENTENCES.read_text(encoding="utf-8").strip().split("\n\n")


def write_bio(path: Path, n_tokens: int) -> None:
    sentences, random_ = read_sentences(), random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        while n_tokens > 0:
            sentence = random_.choice(sentences)
            file.write(f"{sentence}\nO\t{random_.randrange(10**6)}\n\n")
            n_tokens -= sentence.count("\n") + 2


def write_jsonl(path: Path, n_bytes: int, *, has_spans: bool) -> None:
    random_ = random.Random(0)
    texts = [" ".join(line.split("\t")[1] for line in each.splitlines()) for each in read_sentences()]
    with path.open("w", encoding="utf-8") as file:
        while n_bytes > 0:
            text = f"{random_.randrange(10**6)} {' '.join(random_.choices(texts, k=_N_SENTENCES))}"
            label = {"spans": [[0, text.index(" "), "NUMBER"]]} if has_spans else {"label": random_.choice("abc")}
            n_bytes -= file.write(json.dumps({"text": text, **label}) + "\n")


@contextmanager
def measure_docs() -> Iterator[list[float]]:
    """Collect the megabytes of what is written each time: the DocBin itself, with every string once."""
    sizes: list[float] = []
    write = DocWriter.write

    def measure(writer: DocWriter, path: Path) -> None:
        parts = [writer.tokens, writer.spaces, writer.lengths, writer.cats, writer.flags, writer.groups]
        sizes.append((sum(map(len, parts)) + sum(map(sys.getsizeof, writer.strings))) / 1024**2)
        write(writer, path)

    with patch.object(DocWriter, "write", measure):
        yield sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("format", choices=["bio", "jsonl", "spans"])
    parser.add_argument("--tokens", type=int, default=1_000_000, help="of bio")
    parser.add_argument("--megabytes", type=int, default=100, help="of jsonl and spans")
    parser.add_argument("--split", action="store_true", help="split off a tenth")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        source, output, dev = Path(folder, "data"), Path(folder, "a.spacy"), 0.1 * arguments.split
        if arguments.format == "bio":
            write_bio(source, arguments.tokens)
        else:
            write_jsonl(source, arguments.megabytes * 1_000_000, has_spans=arguments.format == "spans")
        small = Path(folder, "small")
        with source.open(encoding="utf-8") as file:
            small.write_text("".join(line for line, _ in zip(file, range(100), strict=False)) + "\n", encoding="utf-8")
        run = {
            "bio": convert,
            "jsonl": lambda *paths, dev: convert_texts(*paths, dev=dev, file_format="jsonl"),
            "spans": lambda *paths, dev: convert_spans(*paths, dev=dev, file_format="spans"),
        }[arguments.format]
        run(small, Path(folder, "small.spacy"), dev=0)  # spaCy's imports are not measured
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start, cpu = perf_counter(), process_time()
        with measure_docs() as sizes:
            report = run(source, output, dev=dev)
        seconds, cpu = perf_counter() - start, process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        n_tokens = sum(part.n_tokens for part in report.parts)
        print(f"{source.stat().st_size / 1e6:,.0f} MB, {report.n_docs:,} docs, {n_tokens:,} tokens, dev {dev:g}")
        print(
            f"{n_tokens / seconds:,.0f} tokens/s ({seconds:.1f} s), {n_tokens / cpu:,.0f} per second of the processor"
        )
        print(f"{peak - before:,.0f} MB at most, {peak - before - max(sizes):,.0f} MB next to the largest DocBin")


if __name__ == "__main__":
    main()
