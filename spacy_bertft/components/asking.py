"""A question and a context → the answers of a pipeline."""

from __future__ import annotations

from typing import NamedTuple

from spacy.language import Language

from spacy_bertft.components.question_answering import BertQa
from spacy_bertft.data.pairs import make_pair
from spacy_bertft.errors import SettingError


class Answer(NamedTuple):
    """An answer.

    Attributes:
        text: Its text.
        prob: Its probability.
        char_start: Its first character in the context.
        char_end: One past its last character.
    """

    text: str
    prob: float
    char_start: int
    char_end: int


def ask(nlp: Language, question: str, context: str, component: str | None = None) -> list[Answer]:
    """Answer a question by a span of a context.

    Args:
        nlp: A pipeline with `bert_qa`.
        question: The question.
        context: The text that the answer is part of.
        component: Name of the component that answers; by default the only one.

    Returns:
        The most likely answers, as many as `n_best` says, the most likely one first; empty if there is no answer.

    Raises:
        SettingError: There is no such component.
        DataError: A text holds U+001F, or no token.
    """
    pipes = {name: pipe for name, pipe in nlp.pipeline if isinstance(pipe, BertQa)}
    name = next(iter(pipes)) if component is None and len(pipes) == 1 else component
    if name not in pipes:
        raise SettingError("component", component, f"one of {', '.join(pipes) or 'bert_qa, but the pipeline has none'}")
    doc = nlp(make_pair(nlp, question, context))
    group, shift = doc.spans[pipes[name].cfg["spans_key"]], len(question) + 1
    return [
        Answer(span.text, prob, span.start_char - shift, span.end_char - shift)
        for span, prob in zip(group, group.attrs["scores"], strict=True)
    ]
