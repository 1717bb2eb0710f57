"""What the benchmarks measure on: texts, and pipelines with the same encoder, ours and stock ones."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Span
from spacy.training import Corpus, Example
from thinc.api import Adam, Optimizer, fix_random_seed, warmup_linear
from tqdm import trange

from spacy_bertft.checkpoints import find_checkpoint_dir
from spacy_bertft.data import convert
from spacy_bertft.training.batches import configure_batch_by_pieces

TEST_BIO = Path(__file__).parent.parent / "assets" / "movie" / "test.bio"
TRAIN_BIO = TEST_BIO.with_name("train.bio")
LABELS = ("ACTOR", "CHARACTER", "DIRECTOR", "GENRE", "PLOT", "RATING", "REVIEW", "SONG", "TITLE", "TRAILER", "YEAR")
WINDOW = 128  # subword tokens, as in configs/ner.cfg and in the stock config


def read_texts(path: Path, n_texts: int, n_words: int = 1) -> list[str]:
    """Read the sentences of a BIO file, joined to texts of some words at least, and repeated until there are enough."""
    blocks = path.read_text(encoding="utf-8").strip().split("\n\n")
    sentences = [" ".join(line.split("\t")[1] for line in block.splitlines()) for block in blocks]
    texts: list[str] = []
    words: list[str] = []
    index = 0
    while len(texts) < n_texts:
        words += sentences[index % len(sentences)].split()
        index += 1
        if len(words) >= n_words:
            texts.append(" ".join(words))
            words = []
    return texts


def initialize(nlp: Language) -> Language:
    doc = nlp.make_doc(" ".join(LABELS))
    gold = {"entities": [(token.idx, token.idx + len(token), token.text) for token in doc]}
    nlp.initialize(lambda: [Example.from_dict(doc, gold)])
    return nlp


def build_ours(encoder: str, precision: str, backend: str = "torch") -> Language:
    nlp = spacy.blank("en")
    settings = {"name": encoder, "precision": precision, "backend": backend, "window": WINDOW}
    nlp.add_pipe("bert_ner", config={"model": {"encoder": settings}})
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


def build_eds(encoder: str) -> Any:
    """Build a pipeline of EDS-NLP with the settings of its documentation, and windows as those of the stock one."""
    import edsnlp
    import edsnlp.pipes

    nlp = edsnlp.blank("en")
    transformer = edsnlp.pipes.transformer(model=str(find_checkpoint_dir(encoder)), window=128, stride=96)
    nlp.add_pipe(edsnlp.pipes.ner_crf(mode="joint", target_span_getter="ents", embedding=transformer))
    doc = nlp.make_doc(" ".join(LABELS))
    doc.ents = [Span(doc, token.i, token.i + 1, token.text) for token in doc]
    nlp.post_init([doc])
    return nlp


def read_examples(nlp: Language, path: Path, folder: Path) -> list[Example]:
    """Read the sentences of a BIO file."""
    output_path = folder / f"{path.stem}.spacy"
    convert(path, output_path)
    return list(Corpus(output_path)(nlp))


def load_ours(pipeline: Path, **settings: str | int) -> Language:
    """Load a pipeline with a `bert_ner`, with other settings of its encoder."""
    config = spacy.util.load_config(pipeline / "config.cfg")
    [name] = [name for name, part in config["components"].items() if part["factory"] == "bert_ner"]
    return spacy.load(pipeline, config={"components": {name: {"model": {"encoder": settings}}}} if settings else {})


def make_stock_optimizer(n_steps: int, rate: float = 5e-5) -> Optimizer:
    """Make the optimizer of the config that `spacy init config --gpu` writes, with a schedule of that many steps."""
    return Adam(warmup_linear(rate, 50, n_steps), L2=0.01, L2_is_weight_decay=True, grad_clip=1.0)


def train(
    nlp: Language, encoder: str, examples: list[Example], n_steps: int, optimizer: Optimizer, seed: int = 0
) -> None:
    """Train with batches of 1,024 pieces."""
    fix_random_seed(seed)
    nlp.initialize(lambda: examples)
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
