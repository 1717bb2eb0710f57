"""Soft targets for distillation: what teachers say of the tags of a document, kept with its gold annotation.

They are values of `span._`, so they survive `Doc.from_docs`, which joins training examples to longer ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.errors import DataError
from spacy_bertft.tags.forward_backward import LinearChain

Floats = NDArray[np.float32]

_NAME = "bertft_soft_tags"


class TagTeaching(NamedTuple):
    """How a student learns from teachers, the same for all documents.

    Attributes:
        component: Name of the component.
        tags: The `L` tags that the teachers have, in order.
        chain: The chain of the teachers.
        weight: Weight of the divergence from them, added to the loss by gold annotation.
        temperature: What the scores of teachers and student are divided by for it.
    """

    component: str
    tags: tuple[str, ...]
    chain: LinearChain
    weight: float
    temperature: float


class SoftTags(NamedTuple):
    """What teachers say of one document.

    Attributes:
        teaching: How a student learns from them.
        scores: `(T, L)` the score of every tag of every token; rows of NaN for tokens without a subword token.
    """

    teaching: TagTeaching
    scores: Floats


def attach_soft_tags(example: Example, soft_tags: Sequence[SoftTags]) -> None:
    """Keep what teachers say of the tokens of a text with its gold annotation, for each component."""
    user_data: dict[Any, Any] = example.reference.user_data
    if tokens := list(example.predicted):
        # A space after the last token belongs to no span.
        user_data["._.", _NAME, 0, tokens[-1].idx + len(tokens[-1])] = tuple(soft_tags)


def read_soft_tags(examples: Sequence[Example], component: str) -> tuple[TagTeaching | None, Floats]:
    """Read what teachers say of the tokens of a batch.

    Args:
        examples: `B` examples, each perhaps of several texts that were joined.
        component: Name of the component that learns.

    Returns:
        How to learn from it, or None if no example has soft targets, and `(T, L)` scores, document after document;
        rows of NaN where there are none.

    Raises:
        DataError: The tokens of a text are not those that the teachers saw.
    """
    teaching: TagTeaching | None = None
    found: list[tuple[int, Floats]] = []  # first token in the batch, scores
    first_token = 0
    for example in examples:
        doc = example.predicted
        for key, values in example.reference.user_data.items():
            if not isinstance(key, tuple) or key[:2] != ("._.", _NAME):
                continue
            for each in values:
                if each.teaching.component == component and len(each.scores):
                    teaching = each.teaching
                    found.append((first_token + _find_start(doc, key[2], key[3], len(each.scores)), each.scores))
        first_token += len(doc)
    n_tags = len(teaching.tags) if teaching else 0
    scores = np.full((first_token, n_tags), np.nan, dtype=np.float32)
    for start, rows in found:
        scores[start : start + len(rows)] = rows
    return teaching, scores


def _find_start(doc: Doc, char_start: int, char_end: int, n_tokens: int) -> int:
    span = doc.char_span(char_start, char_end)
    if span is None or len(span) != n_tokens:
        raise DataError(
            f"The tokens of '{doc.text[char_start:char_end][:60]}' are not the {n_tokens} that the teachers saw. "
            "Expected the tokenizer that the soft targets were made with; run `spacy-bertft distill` again."
        )
    return int(span.start)
