"""Memory over a long run of `nlp.pipe`; memory, files and threads over many times saving and loading.

    python reliability/soak.py [--minutes 30] [--cycles 50] [--backend torch] [--new-words] [--without-zones] [--seed 0]

The texts have from one word to three thousand, in many scripts. spaCy keeps every word that it has seen;
`nlp.memory_zone` lets it forget them, and is used here batch by batch, as spaCy's documentation advises for services
that run for long. Memory is what is resident, looked at twenty times a second.

A word that is forgotten leaves its cell in spaCy's two tables of words taken, until it comes again: preshed's `_resize`
counts such cells as full. So with words that are new for ever these tables double now and then, with a tokenizer alone
too. That is what `--new-words` shows, also with `--backend none`; without it the odd words are twenty thousand, which
come again and again, forgotten each time.

oneDNN makes a kernel for every number of pieces, and keeps it: some hundred megabytes, some of which take long to be
asked for. The heap of glibc too grows for some hundred texts before it stays as it is. So texts of all lengths and all
odd words come first, and sixty batches, before the clock starts; what they have added is reported.

In a cycle a pipeline of all heads is written to a folder and to bytes, loaded from both, and used; the next cycle
starts from what was loaded. What is free is given back to the system before memory is looked at. The last pipeline has
to answer as the first one, to the bit.

Ends with an error where memory grows by more than one hundredth after the first tenth of the run or the first fifth of
the cycles, or where a file or a thread is left.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from time import monotonic

import numpy as np
import psutil
import spacy
import torch
from memory import MemoryWatch, Part, find_growth, format_parts
from pipelines import ENCODER, build_pipeline, make_odd_words, read_answer, stream_batches
from spacy.language import Language
from spacy.util import load_model_from_config
from tqdm import tqdm

from spacy_bertft.annotation.memory import give_back_memory

N_PARTS = 10
N_DOCS = 16
LONGEST = 3000  # words
N_ODD = 20_000  # words that no text of the corpus has


def warm_up(nlp: Language, words: list[str], *, has_zones: bool) -> None:
    """Let every kernel be made, by passes over two windows of all numbers of pieces that differ for oneDNN.

    The words are seen, and forgotten where there are zones.
    """
    for n_pieces in (*range(3, 64), *range(64, 513, 8)):
        list(nlp.pipe(["the " * (n_pieces - 2)] * 2))
    with nlp.memory_zone() if has_zones else nullcontext():
        nlp.make_doc(" ".join(words))


def annotate(nlp: Language, texts: list[str], *, has_zone: bool) -> int:
    """Annotate a batch, and count its words."""
    with nlp.memory_zone() if has_zone else nullcontext():
        return sum(map(len, nlp.pipe(texts)))


def stream(
    nlp: Language, seconds: float, batches: Iterator[list[str]], n_before: int, *, has_zones: bool
) -> list[Part]:
    """Annotate batches for some time, after some others; tell how much there was, and the memory that it took."""
    before = read_memory()
    for _ in range(n_before):
        annotate(nlp, next(batches), has_zone=has_zones)
    print(f"batches before the clock starts: {before / 2**20:.1f} MB → {read_memory() / 2**20:.1f} MB")
    n_batches = n_words = 0
    with MemoryWatch(seconds, N_PARTS) as watch, tqdm(unit=" words", disable=None) as progress:
        start = monotonic()
        while monotonic() < start + seconds:
            n_new = annotate(nlp, next(batches), has_zone=has_zones)
            n_batches, n_words = n_batches + 1, n_words + n_new
            progress.update(n_new)
        taken = monotonic() - start
    print(f"{n_batches * N_DOCS:,} texts of {n_words:,} words in {taken / 60:.1f} minutes")
    print(f"{len(nlp.vocab.strings):,} strings in the vocabulary")
    return watch.parts


def read_memory() -> int:
    """Read how many bytes of this process are resident."""
    return int(psutil.Process().memory_info().rss)


@dataclass(frozen=True)
class Holdings:
    """What this process holds.

    Attributes:
        memory: Bytes.
        n_files: Open files.
        n_threads: Threads.
        n_temporary: Files and folders in the folder for temporary ones.
    """

    memory: int
    n_files: int
    n_threads: int
    n_temporary: int


def count_holdings() -> Holdings:
    """Count what is held, once all that is free is given back."""
    gc.collect()
    give_back_memory()
    process = psutil.Process()
    n_temporary = sum(1 for _ in Path(tempfile.gettempdir()).rglob("*"))
    return Holdings(read_memory(), process.num_fds(), process.num_threads(), n_temporary)


def save_and_load(nlp: Language, texts: list[str]) -> Language:
    """Write a pipeline to a folder and to bytes; load it from both, and use it."""
    with tempfile.TemporaryDirectory() as folder:
        nlp.to_disk(folder)
        from_disk = spacy.load(folder)
    from_bytes = load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    for loaded in (from_disk, from_bytes):
        list(loaded.pipe(texts))
    return from_bytes


def run_cycles(nlp: Language, n_cycles: int, texts: list[str]) -> list[Holdings]:
    """Save and load again and again; tell what was held after each cycle.

    Raises:
        AssertionError: The last pipeline answers something else than the first.
    """
    expected = [read_answer(doc) for doc in nlp.pipe(texts)]
    holdings = []
    for _ in tqdm(range(n_cycles), unit=" cycles", disable=None):
        nlp = save_and_load(nlp, texts)
        holdings.append(count_holdings())
    assert [read_answer(doc) for doc in nlp.pipe(texts)] == expected
    return holdings


def report_parts(parts: list[Part], limit: float) -> list[str]:
    """Print the memory of a run; return what is wrong with it."""
    growth = find_growth(parts)
    print(format_parts(parts, "tenth"))
    print(f"growth of the mean after the first tenth, at most: {growth:+.2%}")
    return [f"memory grew by {growth:.2%}"] if growth > limit else []


def report_cycles(holdings: list[Holdings], limit: float) -> list[str]:
    """Print what was held over the cycles; return what is wrong with it."""
    first, *_, last = later = holdings[len(holdings) // 5 :]
    memory = np.array([each.memory for each in later])
    slope = np.polyfit(np.arange(len(memory)), memory, 1)[0]
    growth = slope * len(memory) / memory[0]
    print(f"{len(holdings)} cycles; the first {len(holdings) - len(later)} are left out:")
    print(
        f"memory     {memory[0] / 2**20:8.1f} MB → {memory[-1] / 2**20:8.1f} MB, at most {memory.max() / 2**20:.1f} MB"
    )
    print(f"slope      {slope / 2**10:+8.1f} kB a cycle, {growth:+.2%} over all of them")
    problems = [f"memory grew by {growth:.2%} over the cycles"] if growth > limit else []
    for name, before, after in (
        ("files", first.n_files, last.n_files),
        ("threads", first.n_threads, last.n_threads),
        ("temporary", first.n_temporary, last.n_temporary),
    ):
        print(f"{name:10} {before:8} → {after}")
        if after > before:
            problems.append(f"{name}: {before} → {after}")
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30, help="0 leaves the run out")
    parser.add_argument("--cycles", type=int, default=50, help="0 leaves the cycles out, else 5 or more")
    parser.add_argument("--before", type=int, default=60, help="batches before the clock starts")
    parser.add_argument("--encoder", default=ENCODER)
    backends = ("torch", "openvino", "none")
    parser.add_argument("--backend", default="torch", choices=backends, help="none: a tokenizer alone")
    parser.add_argument("--new-words", action="store_true", help="let every odd word be a new one")
    parser.add_argument("--without-zones", action="store_true", help="let spaCy keep every word")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=0.01, help="how much memory may grow")
    arguments = parser.parse_args()
    if arguments.backend == "none" and arguments.encoder != ENCODER:
        parser.error("--backend none has no encoder")
    torch.set_num_threads(1)
    is_bare, has_zones = arguments.backend == "none", not arguments.without_zones
    nlp = spacy.blank("en") if is_bare else build_pipeline(arguments.encoder, backend=arguments.backend)
    odd_words = make_odd_words(np.random.default_rng(arguments.seed))
    known = [] if arguments.new_words else list(islice(odd_words, N_ODD))
    batches = stream_batches(arguments.seed, N_DOCS, LONGEST, cycle(known) if known else odd_words)
    problems = []
    if arguments.minutes:
        before = read_memory()
        warm_up(nlp, known, has_zones=has_zones)
        print(f"all lengths, {len(known):,} odd words: {before / 2**20:.1f} MB → {read_memory() / 2**20:.1f} MB")
        parts = stream(nlp, 60 * arguments.minutes, batches, arguments.before, has_zones=has_zones)
        problems += report_parts(parts, arguments.limit)
    if arguments.cycles:
        texts = [text[:200] for text in next(batches)]
        with tempfile.TemporaryDirectory() as folder:
            os.environ["TMPDIR"] = tempfile.tempdir = folder
            problems += report_cycles(run_cycles(nlp, arguments.cycles, texts), arguments.limit)
            tempfile.tempdir = None
    if problems:
        sys.exit("; ".join(problems))


if __name__ == "__main__":
    main()
