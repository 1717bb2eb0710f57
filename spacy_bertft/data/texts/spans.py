"""JSONL of texts with spans by their characters → Docs with `doc.spans` → `.spacy` files, with a report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc, Span

from spacy_bertft.data.conversion import (
    ConversionReport,
    Stream,
    choose_spans_key,
    make_blank,
    plan_outputs,
    write_corpus,
)
from spacy_bertft.data.records import Record, read_records
from spacy_bertft.data.rows import Tally

# Of Prodigy, of spaCy's examples, and of doccano.
_SPAN_FIELDS = ("spans", "entities", "label", "labels")
_EXPECTED = 'Expected a list of objects such as {"start": 0, "end": 6, "label": "LOC"}, or of [0, 6, "LOC"].'


@dataclass(frozen=True)
class SpanText:
    """A text with its spans.

    Attributes:
        record: The row.
        text: The text, exactly.
        spans: First character, one past the last, and label.
    """

    record: Record
    text: str
    spans: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, kw_only=True)
class SpanReport(ConversionReport):
    """What a conversion of texts with spans has done.

    Attributes:
        spans_key: The group in `doc.spans` that was written.
        n_extended: Spans that began or ended within a token, and were extended to whole tokens.
        first_extended: File, line and text of the first of them.
    """

    spans_key: str
    n_extended: int = 0
    first_extended: str = ""

    @property
    def _counted(self) -> str:
        return "spans"

    def _list_notes(self) -> list[str]:
        first = f" (the first: {self.first_extended})" if self.n_extended else ""
        return [f"doc.spans[{self.spans_key!r}]", f"spans extended to whole tokens: {self.n_extended:,}{first}"]


def convert_spans(
    input_paths: Path | str | Iterable[Path | str],
    output_path: Path | str,
    *,
    text_column: str = "text",
    label_column: str | None = None,
    spans_key: str | None = None,
    lang: str = "en",
    dev: float = 0.0,
    dev_path: Path | str | None = None,
    test: float = 0.0,
    test_path: Path | str | None = None,
    seed: int = 0,
    dry_run: bool = False,
) -> SpanReport:
    """Convert JSONL of texts with spans, which may overlap, to spaCy's binary format.

    The spans of a line are a list of objects with `start`, `end` and `label`, as Prodigy writes them, or of lists of
    these three, counted in characters. A span that begins or ends within a token is extended to whole tokens, and
    counted. Lines that Prodigy marks as rejected or ignored are left out.

    Args:
        input_paths: One file or several, which are read as one corpus.
        output_path: The `.spacy` file to write.
        text_column: The field of the texts.
        label_column: The field of the spans; by default the first of spans, entities, label and labels.
        spans_key: The group in `doc.spans` that they are written to; by default `sc`.
        lang: Language code of the tokenizer.
        dev: Share of the texts to split off. Copies of a text stay together.
        dev_path: Where to write them; by default `NAME-dev.spacy` next to `NAME.spacy`.
        test: Share of the texts to split off for testing.
        test_path: Where to write them; by default `NAME-test.spacy` next to `NAME.spacy`.
        seed: Seed of the split.
        dry_run: Write nothing; show what the input is read as, and its first document.

    Raises:
        DataError: An input does not exist, holds no text, or too few texts to split.
        ColumnFormatError: A line cannot be read.
        SettingError: A setting is out of range, or the outputs are not to be written there.
    """
    key = choose_spans_key("spans", spans_key) or ""
    plan = plan_outputs(input_paths, output_path, {"test": (test, test_path), "dev": (dev, dev_path)}, seed, dry_run)
    nlp, tally, extended = make_blank(lang), Tally(), Counter[str]()
    fields = _SPAN_FIELDS if label_column is None else (label_column,)
    reports = write_corpus(
        plan,
        Stream(partial(_read_texts, plan.sources, text_column, fields), tally, Tally),
        partial(map, partial(_make_doc, nlp, key=key, extended=extended)),
        lambda doc: [span.label_ for span in doc.spans[key]],
        get_key=lambda each: " ".join(each.text.split()),
        nothing="no text. Expected lines with a text and its spans",
    )
    return SpanReport(
        n_lines=tally.n_lines,
        n_lines_left_out=dict(tally.left_out),
        n_byte_order_marks=tally.n_byte_order_marks,
        spans_key=key,
        n_extended=sum(extended.values()),
        first_extended=next(iter(extended), ""),
        **reports,
    )


def _read_texts(paths: Sequence[Path], text_column: str, fields: Sequence[str], tally: Tally) -> Iterator[SpanText]:
    for record in (record for path in paths for record in read_records(path, "jsonl", tally)):
        text, answer = record.get_text("text_column", text_column), record.values.get("answer")
        if answer in ("reject", "ignore"):
            tally.left_out[f"rows answered with {answer}"] += 1
        elif not text.strip():
            tally.left_out["rows without text"] += 1
        else:
            spans = record.get("label_column", *(name for name in fields if name != text_column))
            if not isinstance(spans, list):
                raise record.error(f"the spans are {json.dumps(spans)[:40]}", _EXPECTED)
            # What is annotated twice is one span.
            yield SpanText(record, text, tuple(dict.fromkeys(_read_span(span, text, record) for span in spans)))


def _read_span(span: object, text: str, record: Record) -> tuple[int, int, str]:
    values = [span.get(name) for name in ("start", "end", "label")] if isinstance(span, dict) else span
    match values:
        case [int(start), int(end), str(label)] if label.strip():
            if 0 <= start < end <= len(text) and not (isinstance(start, bool) or isinstance(end, bool)):
                return start, end, label
            expected = f"Expected a range within its {len(text):,} characters, counted from 0, the end exclusive."
            raise record.error(f"the text has no characters {start} to {end}", expected)
    raise record.error(f"a span is {json.dumps(span)[:60]}", _EXPECTED)


def _make_doc(nlp: Language, text: SpanText, *, key: str, extended: Counter[str]) -> Doc:
    doc = nlp.make_doc(text.text)
    if doc.text != text.text:
        raise text.record.error(f"the tokenizer of {nlp.lang!r} changes the text", "Pass --lang with another language.")
    spans: list[Span] = []
    for start, end, label in text.spans:
        span = doc.char_span(start, end, label, alignment_mode="expand")
        if span is None:
            raise text.record.error(f"the span {start} to {end} covers no token", "Expected words in every span.")
        if (span.start_char, span.end_char) != (start, end):
            extended[f"{text.record.path}, line {text.record.line}: {text.text[start:end]!r} to {span.text!r}"] += 1
        spans.append(span)
    doc.spans[key] = spans
    return doc
