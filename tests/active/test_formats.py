"""One text worked by hand, as each tool has it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spacy_bertft.active.formats import Suggestion, format_suggestion
from spacy_bertft.active.preannotation import LabelledSpan, Preannotation, Token

TOKENS = (Token("in", 0, 2, True), Token("new", 3, 6, True), Token("york", 7, 11, False))
SPANS = (LabelledSpan(3, 11, 1, 3, "CITY", 0.75),)
PROBS = {"trip": 0.7, "food": 0.6, "film": 0.1}
BOTH = Preannotation(TOKENS, SPANS, PROBS, ("trip", "food"))
ENTITIES = replace(BOTH, probs=None, chosen=())
CATEGORIES = replace(BOTH, spans=None)


def format_answer(answer: Preannotation, file_format) -> dict:
    return format_suggestion(Suggestion("in new york", 0.25, {"id": 7}, answer, "en_trips-1.0"), file_format)


def test_prodigy():
    ends = {"uncertainty": 0.25, "meta": {"id": 7}}
    entities = {
        "tokens": [
            {"text": "in", "start": 0, "end": 2, "id": 0, "ws": True},
            {"text": "new", "start": 3, "end": 6, "id": 1, "ws": True},
            {"text": "york", "start": 7, "end": 11, "id": 2, "ws": False},
        ],
        "spans": [{"start": 3, "end": 11, "token_start": 1, "token_end": 2, "label": "CITY", "score": 0.75}],
    }
    categories = {
        "cats": PROBS,
        "options": [{"id": label, "text": label} for label in PROBS],
        "accept": ["trip", "food"],
    }
    assert format_answer(ENTITIES, "prodigy") == {"text": "in new york", **entities, **ends}
    assert format_answer(CATEGORIES, "prodigy") == {"text": "in new york", **categories, **ends}
    assert format_answer(BOTH, "prodigy") == {"text": "in new york", **entities, **categories, **ends}


def test_label_studio():
    task = format_answer(BOTH, "label-studio")
    assert task["data"] == {"text": "in new york", "uncertainty": 0.25, "meta": {"id": 7}}
    [prediction] = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("en_trips-1.0", 0.75)
    assert prediction["result"] == [
        {
            "id": "0",
            "from_name": "label",
            "to_name": "text",
            "type": "labels",
            "value": {"start": 3, "end": 11, "text": "new york", "labels": ["CITY"]},
            "score": 0.75,
        },
        {
            "id": "1",
            "from_name": "category",
            "to_name": "text",
            "type": "choices",
            "value": {"choices": ["trip", "food"]},
        },
    ]


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        (ENTITIES, {"label": [[3, 11, "CITY"]]}),
        (CATEGORIES, {"label": ["trip", "food"]}),
        (BOTH, {"entities": [[3, 11, "CITY"]], "cats": ["trip", "food"]}),
        (replace(ENTITIES, spans=()), {"label": []}),
    ],
)
def test_doccano(answer, labels):
    expected = {"text": "in new york", **labels, "uncertainty": 0.25, "meta": {"id": 7}}
    assert format_answer(answer, "doccano") == expected
