"""Rows with spans by their characters, as any tool writes them → texts with spans."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from spacy_bertft.data.records import Record
from spacy_bertft.data.rows import Tally
from spacy_bertft.data.texts.options import TextOptions
from spacy_bertft.data.texts.rows import read_texts
from spacy_bertft.data.texts.tools import UNKNOWN, list_units

SpanKind = Literal["ents", "spans"]

# Of Prodigy, of doccano, of `annotate` and spaCy's JSON, of doccano's earlier versions.
_SPAN_FIELDS = ("spans", "entities", "ents", "label", "labels")
_EXPECTED = 'Expected a list of objects such as {"start": 0, "end": 6, "label": "LOC"}, or of [0, 6, "LOC"].'

CharSpan = tuple[int, int, str]


@dataclass(frozen=True)
class SpanText:
    """A text with its spans.

    Attributes:
        record: The row.
        text: The text, exactly.
        spans: First character, one past the last, and label.
        unknown: Characters from and to between which nothing is known of other entities.
        is_rejected: Whether the spans are known to be wrong.
    """

    record: Record
    text: str
    spans: tuple[CharSpan, ...]
    unknown: tuple[tuple[int, int], ...] = ()
    is_rejected: bool = False


def read_span_texts(
    formats: Sequence[tuple[Path, str]], options: TextOptions, kind: SpanKind, tally: Tally
) -> Iterator[SpanText]:
    """Read texts with spans file after file; what was rejected, ignored or is empty is left out.

    Args:
        formats: The files with their formats.
        options: Which fields hold texts and spans.
        kind: What becomes of the spans: rejected ones are kept next to entities only.
        tally: Counts lines and what was left out on the way.

    Raises:
        DataError: A file does not exist.
        ColumnFormatError: A row cannot be read, or has no spans.
    """
    wanted = _SPAN_FIELDS if options.label_column is None else (options.label_column,)
    fields = [name for name in wanted if name != options.text_column]
    bare, is_marked = None, False
    for path, file_format in formats:
        for record in read_texts(path, file_format, options, tally):
            values, text = record.values, record.get_text("text_column", options.text_column)
            answer, is_question = values.get("answer"), values.get("_view_id") == "ner"
            if answer == "ignore" or (answer == "reject" and not (is_question and kind == "ents")):
                tally.left_out[f"rows answered with {answer}"] += 1
            elif is_question and kind == "spans":
                tally.left_out["questions about single entities"] += 1
            elif not text.strip():
                tally.left_out["rows without text"] += 1
            else:
                # In spaCy's JSON, `ents` and groups of spans are next to each other.
                has_groups = kind == "ents" and "ents" in values and isinstance(values.get("spans"), dict)
                names = ["ents"] if has_groups else ["spans"] if UNKNOWN in values else fields
                is_bare = answer == "accept" and values.keys().isdisjoint(names)  # of Prodigy: nothing was marked
                bare, is_marked = (record if is_bare else bare), is_marked or not is_bare
                spans = [] if is_bare else record.get("label_column", *names)
                if isinstance(spans, dict) and all(isinstance(group, list) for group in spans.values()):
                    spans = [span for group in spans.values() for span in group]
                if not isinstance(spans, list):
                    raise record.error(f"the spans are {json.dumps(spans, default=str)[:40]}", _EXPECTED)
                # What is annotated twice is one span.
                found = tuple(dict.fromkeys(each for span in spans for each in _read_span(span, text, record, tally)))
                unknown: Any = [(0, len(text))] if is_question else values.get(UNKNOWN, ())
                yield SpanText(record, text, found, unknown, is_rejected=answer == "reject")
    if bare and not is_marked:
        bare.get("label_column", *fields)  # which no row has


def _read_span(span: Any, text: str, record: Record, tally: Tally) -> Iterator[CharSpan]:
    """Read a span, which may have several labels."""
    quoted = None
    match span:
        case {"start": start, "end": end, **rest} | {"start_offset": start, "end_offset": end, **rest}:
            labels, quoted = rest.get("label", rest.get("labels")), rest.get("text")
            record = replace(record, line=cast(int, rest.get("line", record.line)))
        case [start, end, labels]:
            pass
        case _:
            raise record.error(f"a span is {json.dumps(span, default=str)[:60]}", _EXPECTED)
    labels = [labels] if isinstance(labels, str) else labels
    if not (isinstance(labels, list) and all(isinstance(label, str) and label.strip() for label in labels)):
        raise record.error(f"a span is {json.dumps(span, default=str)[:60]}", _EXPECTED)
    if not (type(start) is type(end) is int and 0 <= start < end):
        expected = "Expected numbers from 0, the end exclusive."
        raise record.error(f"the text has no characters {start!r} to {end!r}", expected)
    where = f"{record.path}, line {record.line}"
    if isinstance(quoted, str) and quoted.strip() and text[start:end].split() != quoted.split():
        # JavaScript counts characters beyond U+FFFF twice.
        places = list_units(text)
        start, end = bisect_left(places, start), bisect_left(places, end)
        if text[start:end].split() != quoted.split():
            raise record.error(f"the span {quoted[:40]!r} is not where it says", f"There is {text[start:end][:40]!r}.")
        tally.note("spans counted in UTF-16, as JavaScript does", where)
    if end > len(text):
        expected = f"Expected a range within its {len(text):,} characters, counted from 0, the end exclusive."
        raise record.error(f"the text has no characters {start} to {end}", expected)
    words = text[start:end].strip()
    if len(words) < end - start:
        tally.note("spans with blanks at their ends, which were left off", where)
        start += text[start:end].find(words)
        end = start + len(words)
    for label in labels if words else ():
        yield start, end, label
