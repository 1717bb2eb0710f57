"""How much F1 a pipeline loses on long documents, made of the sentences of a corpus, against the sentences alone.

    python benchmarks/documents.py training/model-best test.spacy --windows 512 256 128

`--sentences` says where the sentences end, and lays windows over each of them. `--longest 100000` runs over one
document of so many words, and prints what memory that took.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import spacy
from memory import forget_peak, read_peak
from pipelines import load_ours
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("data", type=Path, help="A .spacy file with gold entities.")
    parser.add_argument("--words", type=int, nargs="+", default=[500, 2_000, 10_000])
    parser.add_argument("--windows", type=int, nargs="+", help="Pieces of a window; by default as trained.")
    parser.add_argument("--overlaps", type=int, nargs="+", help="Pieces that two windows share.")
    parser.add_argument("--sentences", action="store_true", help="Say where they end; windows over each.")
    parser.add_argument("--longest", type=int, help="Words of one long document.")
    arguments = parser.parse_args()
    print("window  overlap    words     F1   lost  words/s")
    for window in arguments.windows or [None]:
        for overlap in arguments.overlaps or [None]:
            nlp = load(arguments.pipeline, window, overlap, has_sentences=arguments.sentences)
            docs = list(DocBin().from_disk(arguments.data).get_docs(nlp.vocab))
            alone = 0.0
            for n_words in [0, *arguments.words]:
                start = time.perf_counter()
                f1 = score(nlp, join_docs(docs, n_words), has_sentences=arguments.sentences)
                speed = sum(map(len, docs)) / (time.perf_counter() - start)
                alone = alone or f1
                name = f"{n_words:,}" if n_words else "alone"
                sizes = f"{window or 'trained':>7} {overlap or 'default':>8}"
                print(f"{sizes} {name:>8} {f1:6.2f} {alone - f1:6.2f} {speed:8,.0f}", flush=True)
    if arguments.longest:
        measure_longest(spacy.load(arguments.pipeline), docs, arguments.longest)


def load(pipeline: Path, window: int | None, overlap: int | None, *, has_sentences: bool) -> Language:
    """Load a pipeline with other windows than it was trained with."""
    settings: dict[str, str | int] = {"windows_over": "sentences"} if has_sentences else {}
    if window is not None:
        settings["window"] = window
    if overlap is not None:
        settings["stride"] = (window or 512) - 2 - overlap
    return load_ours(pipeline, **settings)


def join_docs(docs: list[Doc], n_words: int) -> list[Doc]:
    """Join documents to longer ones of some words at least; the last may be shorter."""
    joined: list[Doc] = []
    parts: list[Doc] = []
    for doc in docs:
        parts.append(doc)
        if sum(map(len, parts)) >= n_words:
            joined.append(Doc.from_docs(parts))
            parts = []
    return [*joined, Doc.from_docs(parts)] if parts else joined


def score(nlp: Language, docs: list[Doc], *, has_sentences: bool) -> float:
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in docs]
    for example in examples if has_sentences else ():
        starts = {token.idx for token in example.reference if token.is_sent_start}
        for token in example.predicted:
            token.is_sent_start = token.idx in starts
    return 100 * float(nlp.evaluate(examples, batch_size=32)["ents_f"])


def measure_longest(nlp: Language, docs: list[Doc], n_words: int) -> None:
    nlp.max_length = 10**9
    for size in (n_words // 10, n_words):
        [doc, *_] = join_docs(docs * (1 + size // sum(map(len, docs))), size)
        forget_peak()
        start = time.perf_counter()
        n_ents = len(nlp(doc.text).ents)
        seconds = time.perf_counter() - start
        print(f"one document of {len(doc):,} words: {n_ents:,} entities in {seconds:.1f} s, peak {read_peak():,.0f} MB")


if __name__ == "__main__":
    main()
