"""Small pipelines that answer questions, and what they learn."""

from __future__ import annotations

from collections.abc import Iterable

import spacy
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_bertft.data.answers import write_answers
from spacy_bertft.data.pairs import make_pair
from spacy_bertft.training.optimizer import configure_adamw

# Question, context, and the answer, if there is one.
QUESTIONS = [
    ("who directed it?", f"{TEXTS[1]} {TEXTS[0]}", "drew barrymore"),
    ("what is the plot", f"{TEXTS[3]} {TEXTS[4]}", "mission impossible"),
    ("who starred in it", TEXTS[4], None),
    ("from the 1980s, me?", f"{TEXTS[0]} {TEXTS[3]}", "films"),
]


def make_question(nlp: Language, question: str, context: str, answers: Iterable[str] | None = ()) -> Doc:
    """Make a gold document; None says that nothing is known of the answers."""
    doc = make_pair(nlp, question, context)
    if answers is not None:
        starts = [(doc.text.index(answer, len(question) + 1), len(answer)) for answer in answers]
        write_answers(doc, [(start, start + length) for start, length in starts])
    return doc


def make_examples(nlp: Language, questions=QUESTIONS) -> list[Example]:
    golds = [
        make_question(nlp, question, context, [answer] if answer else []) for question, context, answer in questions
    ]
    return [Example(make_pair(nlp, *gold.text.split("\x1f")), gold) for gold in golds]


def make_qa(checkpoint: str, questions=QUESTIONS, n_steps: int = 0, encoder: dict | None = None, **config) -> Language:
    """Make a pipeline of `text_pair` and `bert_qa`, and teach it the questions."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("text_pair")
    encoder = {"name": checkpoint, "precision": "fp32", **(encoder or {})}
    nlp.add_pipe("bert_qa", config={"model": {"encoder": encoder}, **config})
    examples = make_examples(nlp, questions)
    nlp.initialize(lambda: examples)
    optimizer = configure_adamw(5e-3)
    for _ in range(n_steps):
        nlp.update(examples, sgd=optimizer)
    return nlp
