"""One text worked by hand, as each tool has it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from commands import run
from spacy.tokens import Doc, DocBin, Span
from spacy.vocab import Vocab

from spacy_bertft.active.formats import Suggestion, format_suggestion
from spacy_bertft.components.entity_scores import set_score

DOC = Doc(Vocab(), words=["in", "new", "york"], spaces=[True, True, False])
CITY = Span(DOC, 1, 3, "CITY")
set_score(CITY, 0.75)
PROBS = {"trip": 0.7, "food": 0.6, "film": 0.1}
BOTH = Suggestion(DOC, 0.25, {"id": 7}, "en_trips-1.0", (CITY,), PROBS, ("trip", "food"))
ENTITIES = replace(BOTH, probs=None, chosen=())
CATEGORIES = replace(BOTH, spans=None)


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
    assert format_suggestion(ENTITIES, "prodigy") == {"text": "in new york", **entities, **ends}
    assert format_suggestion(CATEGORIES, "prodigy") == {"text": "in new york", **categories, **ends}
    assert format_suggestion(BOTH, "prodigy") == {"text": "in new york", **entities, **categories, **ends}


def test_label_studio():
    task = format_suggestion(BOTH, "label-studio")
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
    assert format_suggestion(answer, "doccano") == expected


@pytest.mark.parametrize("file_format", ["prodigy", "label-studio", "doccano"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_convert_reads_what_is_suggested(tmp_path, file_format, name):
    text = json.dumps(format_suggestion(BOTH, file_format))
    (tmp_path / name).write_text(f"[{text},\n{text}]" if name == "a.json" else f"{text}\n{text}\n")
    outputs = [
        run("spacy_bertft", "convert", name, f"{kind}.spacy", "--as", kind, cwd=tmp_path) for kind in ("ents", "cats")
    ]
    ents, cats = (list(DocBin().from_disk(tmp_path / f"{kind}.spacy").get_docs(Vocab())) for kind in ("ents", "cats"))
    assert [[(ent.text, ent.label_) for ent in doc.ents] for doc in ents] == [[("new york", "CITY")]] * 2
    assert [{label for label, value in doc.cats.items() if value > 0.5} for doc in cats] == [{"trip", "food"}] * 2
    if file_format == "label-studio":
        assert all("predictions read as annotations: 2" in output for output in outputs)
