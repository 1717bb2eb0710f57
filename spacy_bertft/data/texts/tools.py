"""JSON of annotation tools → records with the fields `text`, `spans` and `label`.

Of one text, a tool keeps more than one opinion: what a model predicted, what several annotators said, what was
cancelled. One is read, the others are counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any

from spacy.training.converters.json_to_docs import json_to_docs

from spacy_bertft.data.records import Record
from spacy_bertft.data.rows import Tally
from spacy_bertft.errors import read_reason

UNKNOWN = "characters of which nothing is known"  # a field: from and to, where there may be other entities
_RELATIONS = "relations"
_ANNOTATIONS = {"annotations", "completions", "predictions"}


def unify(record: Record, tally: Tally) -> Iterator[Record]:
    """Give a record the fields `text`, `spans` and `label`, if it is one of a tool that has others.

    Args:
        record: A task of Label Studio, a row of Dataturks, the documents of spaCy 2's JSON, or anything else.
        tally: Counts what is left out.

    Yields:
        The record, or those that it holds; nothing if nobody has annotated it.

    Raises:
        ColumnFormatError: It looks like one of these, and is not.
    """
    values: Mapping[str, Any] = record.values
    if "paragraphs" in values:
        yield from _read_documents(record)
        return
    if isinstance(values.get("relations"), list) and values["relations"]:
        tally.left_out[_RELATIONS] += len(values["relations"])
    found: Mapping[str, Any] | None = values
    try:
        if isinstance(values.get("data"), dict) and not _ANNOTATIONS.isdisjoint(values):
            found = _read_task(record, values, tally)
        elif "content" in values and "annotation" in values:
            found = _read_dataturks(values, tally)
    except (AttributeError, KeyError, TypeError) as error:
        expected = "Expected what Label Studio or Dataturks exports."
        raise record.error(f"the annotations are {json.dumps(values, default=str)[:60]}", expected) from error
    if found is not None:
        yield replace(record, values={name: _open_choices(value) for name, value in found.items()})


def list_units(text: str) -> list[int]:
    """List where each character begins, and the text ends, in UTF-16, where those beyond U+FFFF count twice."""
    return list(accumulate((1 + (char > "\uffff") for char in text), initial=0))


def _open_choices(value: Any) -> Any:
    """Take the choices out of the object that Label Studio puts several of them into."""
    return value["choices"] if isinstance(value, dict) and value.keys() == {"choices"} else value


def _read_task(record: Record, values: Mapping[str, Any], tally: Tally) -> Mapping[str, Any] | None:
    """Read the first annotation of a task of Label Studio, or the ground truth, if it was not cancelled.

    A task that was never exported, such as those that `suggest` writes, has predictions only.
    """
    annotations = values.get("annotations", values.get("completions"))
    if annotations is None:
        tally.note("predictions read as annotations", f"{record.path}, line {record.line}")
        annotations = values["predictions"]
    kept = [each for each in annotations if not (each.get("was_cancelled") or each.get("skipped"))]
    tally.left_out.update({"annotations that were cancelled": len(annotations) - len(kept)})
    if not kept:
        tally.left_out["texts without an annotation"] += 1
        return None
    kept.sort(key=lambda each: not each.get("ground_truth"))
    read = [_read_result(each["result"], tally if not number else Tally()) for number, each in enumerate(kept)]
    for other in read[1:]:
        kind = "the same" if other == read[0] else "another one"
        tally.left_out[f"annotations of a text that has {kind} before"] += 1
    return {**values["data"], **read[0]}


def _read_result(result: list[Mapping[str, Any]], tally: Tally) -> dict[str, Any]:
    spans, choices = [], []
    for each in result:
        value = each.get("value", {})
        labels = value.get("labels", value.get("hypertextlabels"))
        if labels is not None and "start" in value:
            spans.append({**{name: value.get(name) for name in ("start", "end", "text")}, "labels": labels})
        elif "choices" in value and "start" not in value:  # those of a region say nothing of the text
            choices += value["choices"]
        else:
            tally.left_out[_RELATIONS if each.get("type") == "relation" else "results that are no span or choice"] += 1
    return {"spans": spans, "label": choices}


def _read_dataturks(values: Mapping[str, Any], tally: Tally) -> Mapping[str, Any] | None:
    """Read a row of Dataturks: the last character of a span is included there."""
    annotation = values["annotation"]
    if not annotation:
        tally.left_out["texts without an annotation"] += 1
        return None
    if isinstance(annotation, dict):
        return {"text": values["content"], "spans": [], "label": annotation["labels"]}
    spans = [
        {**point, "end": point["end"] + 1, "labels": each["label"]} for each in annotation for point in each["points"]
    ]
    return {"text": values["content"], "spans": spans}


def _read_documents(record: Record) -> Iterator[Record]:
    """Read the JSON format of spaCy 2, as `spacy convert` does."""
    try:
        for doc in json_to_docs([record.values]):  # type: ignore[no-untyped-call]
            spans = [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents]
            unknown = [(token.idx, token.idx + len(token)) for token in doc if not token.ent_iob]
            values = {"text": doc.text, "spans": spans, UNKNOWN: unknown, "cats": doc.cats}
            yield replace(record, values=values)
    except Exception as error:
        expected = "Expected what spacy convert reads: paragraphs, sentences, tokens."
        raise record.error(f"spaCy cannot read its JSON: {read_reason(error)}", expected) from error
