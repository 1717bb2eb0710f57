"""The newer heads in other processes and in bfloat16: they give what they give here, in float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import spacy
from choice_pipelines import CHOICES, make_choosing
from question_pipelines import QUESTIONS, make_qa
from small_checkpoints import TEXTS
from spacy.language import Language
from spacy.tokens import Doc
from taught_pipelines import GOLD, SPANS, make_taught_pipeline
from text_pipelines import make_pipeline

NUMBERS = {text: {"price": 1000.0 * index} for index, text in enumerate(TEXTS)}


def read_group(key: str, doc: Doc) -> tuple[list, list[float]]:
    """Read spans, and their probabilities."""
    return [(span.start, span.end, span.label_) for span in doc.spans[key]], doc.spans[key].attrs["scores"]


def make_spancat(checkpoint: str) -> Language:
    return make_taught_pipeline(checkpoint, {"bert_spancat": SPANS, "bert_ner": GOLD["bert_ner"]}, n_steps=50)


# Of each head a pipeline that knows some texts, these, and what it says of one: labels, and numbers.
HEADS: dict[str, tuple[Callable[[str], Language], list[str], Callable[[Doc], tuple]]] = {
    "bert_regressor": (
        lambda checkpoint: make_pipeline(checkpoint, "bert_regressor", n_steps=40, cats=NUMBERS),
        TEXTS,
        lambda doc: (None, [doc.cats["price"] / 1000, doc._.price / 1000]),
    ),
    "bert_qa": (
        lambda checkpoint: make_qa(checkpoint, n_steps=40),
        ["\x1f".join(question[:2]) for question in QUESTIONS],
        lambda doc: read_group("answers", doc),
    ),
    "bert_spancat": (make_spancat, TEXTS, lambda doc: read_group("sc", doc)),
    "bert_multiple_choice": (
        lambda checkpoint: make_choosing(checkpoint, 40),
        ["\x1f".join([prompt, *endings]) for prompt, endings, _ in CHOICES],
        lambda doc: (doc._.choice, list(doc.cats.values())),
    ),
}


@pytest.fixture(scope="module", params=HEADS)
def head(request: pytest.FixtureRequest, checkpoint: str):
    make, texts, read = HEADS[request.param]
    nlp = make(checkpoint)
    return request.param, nlp, texts, read


@pytest.mark.process
def test_processes(head) -> None:
    """The parent has run the model before: that is what hangs elsewhere."""
    _, nlp, texts, read = head
    expected = [read(doc) for doc in nlp.pipe(texts * 4)]
    found = [read(doc) for doc in nlp.pipe(texts * 4, n_process=2, batch_size=5)]
    assert [each[0] for each in found] == [each[0] for each in expected]
    for (_, one), (_, other) in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_bfloat16(head, tmp_path) -> None:
    factory, nlp, texts, read = head
    nlp.to_disk(tmp_path)
    settings = {factory: {"model": {"encoder": {"precision": "bf16"}}}}
    rough = spacy.load(tmp_path, config={"components": settings})
    expected, found = ([read(doc) for doc in each.pipe(texts)] for each in (nlp, rough))
    assert [each[0] for each in found] == [each[0] for each in expected]
    assert any(one[1] != other[1] for one, other in zip(found, expected, strict=True))
    for (_, one), (_, other) in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=0.15)
