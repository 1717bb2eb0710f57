"""Texts with spans by their characters → Docs with `doc.ents` or `doc.spans` → `.spacy` files, with a report."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast, get_args

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import filter_spans

from spacy_bertft.data.choices import parse_choice
from spacy_bertft.data.conversion import Stream, make_docs_in_zones, write_corpus
from spacy_bertft.data.docs import make_exact_doc
from spacy_bertft.data.packed import WHERE, pack_docs
from spacy_bertft.data.records import Record
from spacy_bertft.data.reports import ConversionReport
from spacy_bertft.data.rows import Tally
from spacy_bertft.data.settings import Conversion, choose_spans_key, make_blank, make_function
from spacy_bertft.data.split import make_key
from spacy_bertft.data.texts.options import TextFields, TextOptions
from spacy_bertft.data.texts.rows import find_formats, read_texts
from spacy_bertft.data.texts.tools import UNKNOWN, list_units
from spacy_bertft.errors import DataError, shorten

AlignmentMode = Literal["expand", "contract", "strict"]
SpanKind = Literal["ents", "spans"]

# Of Prodigy, of doccano, of `annotate` and spaCy's JSON, of doccano's earlier versions.
_SPAN_FIELDS = ("spans", "entities", "ents", "label", "labels")
_REJECTED = "rejected"  # the group in `doc.spans` of spans that are known to be wrong
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


@dataclass(kw_only=True)
class SpanConversion(TextFields, Conversion):
    """Convert texts with spans by their characters, as annotation tools export them, to spaCy's binary format.

    What Prodigy, doccano, Label Studio, Dataturks, brat, PubTator, INCEpTION, spaCy, and `suggest` and `annotate` of
    this package write is read. Texts that were rejected, ignored or cancelled are left out and counted. A question of
    Prodigy about single entities says nothing about the rest of the text, which is a missing value then; rejected ones
    are in `doc.spans["rejected"]`.

    Args:
        kind: `ents` for `doc.ents`, where the longest of overlapping spans is kept and the others are counted; `spans`
            for `doc.spans`.
        spans_key: The group in `doc.spans` that they are written to; by default `sc`.
        alignment_mode: What becomes of a span that begins or ends within a token: expand it to whole tokens, contract
            it to them, or leave it out if alignment is strict. All are counted. Of entities, what is left out is a
            missing value.

    Raises:
        DataError: An input does not exist, holds no text, or too few texts to split.
        ColumnFormatError: A line cannot be read.
        SettingError: A setting is out of range, or the outputs are not to be written there.
    """

    kind: SpanKind = "spans"
    spans_key: str | None = None
    alignment_mode: AlignmentMode = "expand"

    def run(self) -> ConversionReport:
        """Convert the files."""
        key = choose_spans_key(self.kind, self.spans_key)
        mode = parse_choice("alignment_mode", self.alignment_mode, get_args(AlignmentMode))
        options = TextOptions(text_column=self.text_column, label_column=self.label_column, encoding=self.encoding)
        options.file_format = self.file_format
        formats = find_formats(self.sources, options)
        nlp, tally = make_blank(self.lang), Tally()
        reports = write_corpus(
            self,
            Stream(partial(_read_all, formats, options, self.kind), tally, Tally),
            partial(
                pack_docs,
                partial(make_docs_in_zones, nlp, partial(_make_doc, nlp, key=key, mode=mode, tally=tally)),
                partial(_list_labels, key=key),
            ),
            get_key=lambda text: make_key(text.text),
            attrs=[] if key else ["ENT_IOB", "ENT_TYPE"],
            nothing="no text. Expected texts with their spans",
        )
        return ConversionReport(kind=self.kind, **tally.list_counts(), spans_key=key, **reports)


convert_spans = make_function(SpanConversion)


def _list_labels(doc: Doc, key: str | None) -> list[str]:
    return [span.label_ for span in (doc.spans[key] if key else doc.ents)]


def _read_all(
    formats: Sequence[tuple[Path, str]], options: TextOptions, kind: SpanKind, tally: Tally
) -> Iterator[SpanText]:
    fields = [
        name
        for name in (_SPAN_FIELDS if options.label_column is None else (options.label_column,))
        if name != options.text_column
    ]
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
                spans = record.get("label_column", *names)
                if isinstance(spans, dict) and all(isinstance(group, list) for group in spans.values()):
                    spans = [span for group in spans.values() for span in group]
                if not isinstance(spans, list):
                    raise record.error(f"the spans are {json.dumps(spans, default=str)[:40]}", _EXPECTED)
                # What is annotated twice is one span.
                found = tuple(dict.fromkeys(each for span in spans for each in _read_span(span, text, record, tally)))
                unknown: Any = [(0, len(text))] if is_question else values.get(UNKNOWN, ())
                yield SpanText(record, text, found, unknown, is_rejected=answer == "reject")


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
        raise record.error(
            f"the text has no characters {start!r} to {end!r}", "Expected numbers from 0, the end exclusive."
        )
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


def _make_doc(nlp: Language, text: SpanText, *, key: str | None, mode: AlignmentMode, tally: Tally) -> Doc:
    try:
        doc = make_exact_doc(nlp, text.text)
    except DataError as error:
        raise text.record.error("the text makes no document", str(error)) from error
    doc.user_data[WHERE] = (text.record.path, text.record.line)
    spans: list[Span] = []
    unknown = list(text.unknown)
    for start, end, label in text.spans:
        span = doc.char_span(start, end, label, alignment_mode=mode)
        whole = cast(Span, doc.char_span(start, end, label, alignment_mode="expand"))
        if span is None or (span.start_char, span.end_char) != (start, end):
            found = "left out" if span is None else f"{mode}ed to whole tokens"
            where = f"{text.record.path}, line {text.record.line}: {text.text[start:end]!r} in {whole.text!r}"
            tally.note(f"spans that are not aligned with tokens, {found}", shorten(where))
            unknown.append((whole.start_char, whole.end_char))
        spans += [] if span is None else [span]
    if text.is_rejected:
        doc.spans[_REJECTED], spans = spans, []
    if key:
        doc.spans[key] = spans
        return doc
    ents = filter_spans(spans)
    tally.left_out.update({"spans that overlap a longer one (see --as spans)": len(spans) - len(ents)})
    covered = {token.i for ent in ents for token in ent}
    missing = {
        token.i: Span(doc, token.i, token.i + 1)
        for start, end in unknown
        for token in cast(Span, doc.char_span(start, end, alignment_mode="expand"))
        if token.i not in covered
    }
    doc.set_ents(ents, missing=list(missing.values()), default="outside")
    return doc
