"""Small pipelines that choose endings, and what they learn."""

from __future__ import annotations

from collections.abc import Sequence

import spacy
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.data.endings import make_choice
from spacy_bertft.training.optimizer import configure_adamw

# Prompt, endings, and the position of the right one.
CHOICES = [
    (TEXTS[0], ["mission impossible", "from the 1980s", "who directed it?"], 1),
    (TEXTS[3], ["drew barrymore", "the godfather"], 0),
    (TEXTS[1], ["me", "bill murray and harold ramis", "films", "find me the plot"], 3),
    (TEXTS[4], ["the godfather", "what is the plot"], 1),
]
RIGHT = [right for _, _, right in CHOICES]


def make_gold(nlp: Language, prompt: str, endings: Sequence[str], right: int | None) -> Doc:
    """Make a gold document; None says that nothing is known."""
    doc = make_choice(nlp, prompt, endings)
    if right is not None:
        doc.cats = {str(position): float(position == right) for position in range(len(endings))}
    return doc


def make_examples(nlp: Language, choices=CHOICES) -> list[Example]:
    golds = [make_gold(nlp, *choice) for choice in choices]
    return [Example(nlp.make_doc(gold.text), gold) for gold in golds]


def make_choosing(checkpoint: str, n_steps: int = 0, encoder: dict | None = None, **model) -> Language:
    """Make a pipeline of `bert_multiple_choice`, and teach it the choices."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    encoder = {"name": checkpoint, "precision": "fp32", **(encoder or {})}
    nlp.add_pipe("bert_multiple_choice", config={"model": {"encoder": encoder, **model}})
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(5e-3)
    for _ in range(n_steps):
        nlp.update(examples, sgd=optimizer)
    return nlp
