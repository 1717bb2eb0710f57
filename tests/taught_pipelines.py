"""Pipelines of a small random encoder whose heads know a few texts by heart."""

from __future__ import annotations

from collections.abc import Mapping

import spacy
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.training.optimizer import configure_adamw

SHARED = {"@architectures": "spacy-bertft.SharedEncoder.v1"}
ENTITIES = [[(19, 33, "ACTOR"), (43, 48, "YEAR")], [(13, 26, "TITLE")], [], [(20, 38, "TITLE")]]
NESTED = [[(0, 13, "QUERY"), (8, 33, "QUERY"), (19, 33, "ACTOR")], [(13, 26, "TITLE"), (17, 26, "ACTOR")], [], []]
SPANS = [{"spans": {"sc": spans}} for spans in NESTED]
GOLD: dict[str, list[dict]] = {
    "bert_ner": [{"entities": entities} for entities in ENTITIES],
    "bert_textcat": [{"cats": {"film": float(i % 2 == 0), "other": float(i % 2)}} for i in range(4)],
    "bert_textcat_multilabel": [{"cats": {word: float(word in t.split()) for word in ("me", "the")}} for t in TEXTS],
}


def make_taught_pipeline(
    checkpoint: str, gold: Mapping[str, list[dict]] = GOLD, lang: str = "en", n_steps: int = 40, **settings: object
) -> Language:
    """Make a pipeline with a head for each factory: the first has an encoder of its own, the others share one.

    Args:
        checkpoint: The encoder.
        gold: By factory what is taught of each of the first texts.
        lang: The language.
        n_steps: How often it is taught.
        **settings: Of the encoder that the first head has.
    """
    fix_random_seed(0)
    nlp = spacy.blank(lang)
    encoder = {"name": checkpoint, "precision": "fp32"}
    first, *others = gold
    nlp.add_pipe(first, config={"model": {"encoder": {**encoder, **settings}}})
    nlp.add_pipe("bert_encoder", config={"model": encoder}).initialize(lambda: [])
    for factory in others:
        nlp.add_pipe(factory, config={"model": {"encoder": SHARED}})
    for factory, each in gold.items():
        _teach(nlp, factory, each, n_steps)
    return nlp


def make_examples(nlp: Language, gold: list[dict]) -> list[Example]:
    """Make examples of the first texts."""
    return [Example.from_dict(nlp.make_doc(text), each) for text, each in zip(TEXTS, gold, strict=False)]


def _teach(nlp: Language, name: str, gold: list[dict], n_steps: int) -> None:
    """Teach one head; a shared encoder does not learn along, so no other head forgets what it knew."""
    examples = make_examples(nlp, gold)
    component, optimizer = nlp.get_pipe(name), configure_adamw(5e-3)
    component.initialize(lambda: examples, nlp=nlp)
    for _ in range(n_steps):
        component.update(examples, sgd=optimizer)
