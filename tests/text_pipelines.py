"""Small pipelines that classify texts, and what they learn."""

from __future__ import annotations

import spacy
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.training.optimizer import configure_adamw

BOTH = ("bert_textcat", "bert_textcat_multilabel")
# Of each text, the one label that holds, and the words that it has.
ONE = dict(zip(TEXTS, ["film", "person", "other", "film", "person"], strict=True))
WORDS = ("and", "me", "the")
EXCLUSIVE = {text: {label: float(label == own) for label in ("film", "other", "person")} for text, own in ONE.items()}
MULTILABEL = {text: {word: float(word in text.split()) for word in WORDS} for text in TEXTS}
CATS = dict(zip(BOTH, (EXCLUSIVE, MULTILABEL), strict=True))


def make_config(checkpoint: str, encoder: dict[str, object] | None = None, **settings: object) -> dict[str, object]:
    encoder = {"name": checkpoint, "precision": "fp32", **(encoder or {})}
    return {"model": {"pooling": "mean", "encoder": encoder}, **settings}


def make_examples(nlp: Language, cats: dict[str, dict[str, float]]) -> list[Example]:
    return [Example.from_dict(nlp.make_doc(text), {"cats": gold}) for text, gold in cats.items()]


def make_pipeline(
    checkpoint: str, factory: str, n_steps: int = 0, cats: dict | None = None, initialize: dict | None = None, **config
) -> Language:
    """Make a pipeline of one component, named as its factory, and train it on its texts."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe(factory, config=make_config(checkpoint, **config))
    examples = make_examples(nlp, cats or CATS[factory])
    pipe.initialize(lambda: examples, nlp=nlp, **(initialize or {}))
    optimizer = configure_adamw(5e-3)
    for _ in range(n_steps):
        nlp.update(examples, sgd=optimizer)
    return nlp


def read(doc: Doc) -> list[float]:
    """Read the probabilities of a document, by label."""
    return [doc.cats[label] for label in sorted(doc.cats)]


def choose(doc: Doc) -> dict[str, float]:
    """Read which labels hold, written as gold annotation is."""
    return {label: float(prob > 0.5) for label, prob in doc.cats.items()}
