"""How complete integrated gradients are, and what each way to explain a category takes.

    python benchmarks/explanations.py PIPELINE TEST.spacy [--n-texts 100] [--n-steps 64]

`PIPELINE` is a trained pipeline with a `bert_textcat` or a `bert_textcat_multilabel`. The best category of each
text is explained. The completeness gap is the distance between the sum of the weights and the difference of the two
logits, with the words and without, as a share of that difference.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from record import Record, Row, add_save_option, save
from spacy.language import Language
from spacy.tokens import Doc
from tqdm import tqdm

from spacy_bertft.components.pipelines import load_pipeline
from spacy_bertft.data.docs import read_docs
from spacy_bertft.explanation import Attribution, Method, attribute
from spacy_bertft.explanation.gradients import METHODS

BOUND = 0.05


def explain(nlp: Language, docs: Sequence[Doc], method: Method, n_steps: int) -> tuple[list[Attribution], float]:
    """Explain the best category of each text; return the explanations, and the median of the seconds for one."""
    explained, seconds = [], []
    attribute(nlp, docs[0], method=method, n_steps=n_steps)  # the first call imports and copies
    for doc in tqdm(docs, desc=method, disable=None):
        start = time.perf_counter()
        explained.append(attribute(nlp, doc, method=method, n_steps=n_steps))
        seconds.append(time.perf_counter() - start)
    return explained, float(np.median(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("test_spacy", type=Path)
    parser.add_argument("--n-texts", type=int, default=100)
    parser.add_argument("--n-steps", type=int, default=64)
    add_save_option(parser)
    arguments = parser.parse_args()
    nlp = load_pipeline(arguments.pipeline)
    texts = islice(read_docs(arguments.test_spacy, nlp.vocab), arguments.n_texts)
    docs = [nlp.make_doc(doc.text) for doc in texts]
    rows = []
    print(f"{len(docs)} texts of {arguments.test_spacy.name}, {sum(map(len, docs)):,} tokens")
    for method in METHODS:
        explained, seconds = explain(nlp, docs, method, arguments.n_steps)
        print(f"{method:10} {1000 * seconds:8.1f} ms for a text")
        rows.append(Row(f"{method}, a text", 1000 * seconds, "ms"))
    gaps = np.array([each.completeness_gap for each in explained])
    for name, gap in (("median", np.median(gaps)), ("95 % below", np.quantile(gaps, 0.95)), ("worst", gaps.max())):
        print(f"completeness gap at {arguments.n_steps} steps, {name:10} {100 * gap:8.3f} %")
        rows.append(Row(f"completeness gap, {name}", 100 * float(gap), "%"))
    n_within = int((gaps <= BOUND).sum())
    print(f"within {100 * BOUND:.0f} %: {n_within} of {len(gaps)} texts")
    record = Record(
        script="explanations", about=__doc__, rows=rows, corpus=str(arguments.test_spacy), n_texts=len(docs)
    )
    save(arguments.save, record)


if __name__ == "__main__":
    main()
