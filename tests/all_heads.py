"""A small pipeline with every component: one head over an encoder of its own, the others over one that they share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import spacy
from small_checkpoints import TEXTS, make_sentences
from spacy.language import Language
from spacy.tokens import Doc
from taught_pipelines import GOLD, SPANS, make_taught_pipeline

HEADS = ("bert_ner", "bert_tagger", "bert_textcat", "bert_textcat_multilabel", "bert_spancat")
LONG = " ".join(TEXTS * 4)  # some windows
MIXED = [*TEXTS, LONG, "", "   ", *make_sentences(8), f"{LONG} {LONG}"]


def make_all_heads(checkpoint: str) -> Language:
    """Make it, and teach it some texts."""
    blank = spacy.blank("en")
    tags = [{"tags": ["LONG" if len(token) > 3 else "SHORT" for token in blank(text)]} for text in TEXTS]
    return make_taught_pipeline(checkpoint, {**GOLD, "bert_tagger": tags, "bert_spancat": SPANS})


def load_all_heads(folder: Path | str, **settings: str) -> Language:
    """Load it, with other settings of both encoders."""
    components = {"bert_ner": {"model": {"encoder": settings}}, "bert_encoder": {"model": settings}}
    return spacy.load(folder, config={"components": components})


def read_answer(doc: Doc) -> dict[str, Any]:
    """Read all that the components have written to a document, as JSON keeps it."""
    return {
        "text": doc.text,
        "ents": [[ent.start, ent.end, ent.label_, ent._.bertft_score] for ent in doc.ents],
        "tags": [token.tag_ for token in doc],
        "cats": dict(doc.cats),
        "spans": [[span.start, span.end, span.label_, span._.bertft_score] for span in doc.spans.get("sc", [])],
    }
