"""Entities of ours against those of `transformers.pipeline`, from the same head: every difference is explained.

    python benchmarks/agreement.py PIPELINE TEST.bio [--n-texts 1000]

`PIPELINE` is a trained pipeline with `bert_ner`. Its head is exported; transformers answers with what was exported
(`aggregation_strategy="first"`), ours with what is imported back, both in float32. They may differ where the best tag
of each word spells no legal sequence, which ours then searches for, and where the words of the two are others. Any
other difference is an error.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.tokens import Doc
from tqdm import tqdm
from transformers import pipeline as make_hf_pipeline

from spacy_bertft.exchange.export_hf import export_hf
from spacy_bertft.exchange.import_hf import import_hf
from spacy_bertft.tags.chain import best_paths
from spacy_bertft.tags.forward_backward import build_chain, build_free_chain

Entity = tuple[int, int, str]


def read_texts(path: Path, n_texts: int) -> list[str]:
    """Read the first sentences of a BIO file, `TAG<TAB>word` on each line."""
    blocks = path.read_text(encoding="utf-8").strip().split("\n\n")[:n_texts]
    return [" ".join(line.split("\t")[1] for line in block.splitlines()) for block in blocks]


def is_legal(ner: Any, doc: Doc) -> bool:
    """Tell whether the best tag of each token by itself spells a legal sequence."""
    answer = ner.model.predict([doc])
    grammar = ner.model.grammar
    free = best_paths(answer.scores, answer.lengths, build_free_chain(len(grammar.tags)))
    legal = best_paths(answer.scores, answer.lengths, build_chain(grammar))
    return bool(np.array_equal(free, legal))


def has_same_words(tokenizer: Any, doc: Doc) -> bool:
    """Tell whether the words that transformers sees open where tokens of spaCy open."""
    encoding = tokenizer(doc.text, return_offsets_mapping=True, add_special_tokens=False)
    pieces = tokenizer.convert_ids_to_tokens(encoding["input_ids"])
    offsets = encoding["offset_mapping"]
    # What transformers takes for a subword: a piece that is longer than its characters, such as `##more`.
    words = {start for piece, (start, end) in zip(pieces, offsets, strict=True) if len(piece) == end - start}
    return words == {token.idx for token in doc if not token.is_space}


def explain(ner: Any, tokenizer: Any, doc: Doc) -> str:
    """Say why the two may differ on a document."""
    if not has_same_words(tokenizer, doc):
        return "words differ"
    return "tags not legal" if not is_legal(ner, doc) else "unexplained"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipeline")
    parser.add_argument("test_bio", type=Path)
    parser.add_argument("--component", help="name of the component; the only one may be left out")
    parser.add_argument("--n-texts", type=int, default=1000)
    arguments = parser.parse_args()
    texts = read_texts(arguments.test_bio, arguments.n_texts)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, imported = Path(folder) / "checkpoint", Path(folder) / "pipeline"
        export_hf(arguments.pipeline, checkpoint, arguments.component)
        import_hf(str(checkpoint), imported)
        fp32 = {"components": {"ner": {"model": {"encoder": {"precision": "fp32"}}}}}
        nlp = spacy.load(imported, config=fp32)
        recognize = make_hf_pipeline("token-classification", model=str(checkpoint), aggregation_strategy="first")
    ner = nlp.get_pipe("ner")
    counts: Counter[str] = Counter()
    for doc in tqdm(nlp.pipe(texts), total=len(texts), desc="Comparing", disable=None):
        ours: set[Entity] = {(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents}
        theirs: set[Entity] = {(each["start"], each["end"], each["entity_group"]) for each in recognize(doc.text)}
        counts["the same"] += len(ours & theirs)
        if ours != theirs:
            reason = explain(ner, recognize.tokenizer, doc)
            counts[f"only ours, {reason}"] += len(ours - theirs)
            counts[f"only theirs, {reason}"] += len(theirs - ours)
            if reason == "unexplained":
                print(f"{doc.text}\n  ours   {sorted(ours - theirs)}\n  theirs {sorted(theirs - ours)}")
    print(f"{len(texts)} texts of {arguments.test_bio.name}")
    for reason, count in counts.items():
        print(f"{reason:30} {count:6,} entities")
    if any(count and "unexplained" in reason for reason, count in counts.items()):
        sys.exit(1)


if __name__ == "__main__":
    main()
