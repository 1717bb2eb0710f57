"""Labelled texts, and texts with spans → Docs → `.spacy` files, with a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import get_args

from spacy_bertft.data.choices import parse_choice
from spacy_bertft.data.conversion import Conversion, Stream, make_docs_in_zones, make_function, write_corpus
from spacy_bertft.data.docs import choose_spans_key, make_blank
from spacy_bertft.data.packed import pack_docs
from spacy_bertft.data.reports import ConversionReport
from spacy_bertft.data.rows import DELIMITERS, Tally
from spacy_bertft.data.split import make_key
from spacy_bertft.data.texts.docs import AlignmentMode, make_span_doc, make_text_doc
from spacy_bertft.data.texts.labels import LabelledText, list_present, read_labelled_texts
from spacy_bertft.data.texts.options import TextFields, TextOptions
from spacy_bertft.data.texts.rows import find_formats
from spacy_bertft.data.texts.spans import SpanKind, read_span_texts
from spacy_bertft.errors import DataError, SettingError


@dataclass(kw_only=True)
class TextConversion(TextOptions, Conversion):
    """Convert files of labelled texts to spaCy's binary format: tables, JSON, and what annotation tools export.

    The texts are taken exactly as they are; `doc.cats` holds every label of the corpus, 1 or 0. A row without text
    is left out and counted. Where Prodigy wrote an `answer`, `reject` gives the label 0 and `ignore` leaves the row
    out; a label that a row was not asked about is not in its `doc.cats`, since nothing is known of it.

    Raises:
        DataError: An input does not exist, there is no text or no label, there are too few texts to split, or the
            number 0 never occurs where `label_names` names it.
        ColumnFormatError: A row cannot be read.
        SettingError: A setting is out of range, or the outputs are not to be written there.
    """

    def run(self) -> ConversionReport:
        """Convert the files."""
        nlp = make_blank(self.lang)
        formats, tally = find_formats(self.sources, self), Tally()
        for name in ("header", "quoting", "ragged"):
            value = getattr(self, name)
            if value is not None and not any(file_format in DELIMITERS for _, file_format in formats):
                raise SettingError(name, value, "no such setting here: it is for CSV and TSV files")
        texts = Stream(partial(read_labelled_texts, formats, self), tally)
        labels, ranges = _measure_labels(texts, self)
        list_labels: Callable[[dict[str, float]], list[str]] = list if self.number_columns else list_present
        make_docs = partial(make_docs_in_zones, nlp, partial(make_text_doc, nlp, labels=labels))
        reports = write_corpus(
            self,
            texts,
            partial(pack_docs, make_docs, lambda doc: list_labels(doc.cats)),
            get_key=lambda text: text.key,
            get_labels=lambda text: list_labels(dict(text.cats)),
            labels=labels,
        )
        return ConversionReport(
            **tally.list_counts(),
            ranges=ranges if self.number_columns else {},
            **reports,
        )


convert_texts = make_function(TextConversion)


def _measure_labels(
    texts: Iterable[LabelledText], conversion: TextConversion
) -> tuple[list[str], dict[str, tuple[float, float, float]]]:
    """List all labels of the corpus, in the order of `doc.cats`, and the lowest, mean and highest value of each."""
    paths = ", ".join(map(str, conversion.sources))
    values: dict[str, tuple[float, float, float, int]] = {}
    has_text = False
    for text in texts:
        has_text = True
        for label, value in text.cats.items():
            low, total, high, n = values.get(label, (value, 0.0, value, 0))
            values[label] = min(low, value), total + value, max(high, value), n + 1
    if missing := sorted(conversion.columns.keys() - values):
        problem = f"no row has a value of {', '.join(missing)}"
        raise DataError(f"{paths}: {problem}. Expected a column or field of that name.")
    names = list(conversion.names)
    if not has_text or not (values or names):
        raise DataError(f"{paths}: no {'label' if has_text else 'text'}. Expected rows with a text and a label.")
    if names and conversion.first_label is None and names[0] not in values:
        raise DataError(
            f"{paths}: no row has the label 0, which is {names[0]!r}. "
            "Expected numbers from 0; pass --first-label 1 if they start at 1, --first-label 0 if none of them is 0."
        )
    return names or sorted(values), {label: (low, total / n, high) for label, (low, total, high, n) in values.items()}


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
        make_docs = partial(make_docs_in_zones, nlp, partial(make_span_doc, nlp, key=key, mode=mode, tally=tally))
        reports = write_corpus(
            self,
            Stream(partial(read_span_texts, formats, options, self.kind), tally),
            partial(pack_docs, make_docs, lambda doc: [span.label_ for span in (doc.spans[key] if key else doc.ents)]),
            get_key=lambda text: make_key(text.text),
            attrs=[] if key else ["ENT_IOB", "ENT_TYPE"],
            nothing="no text. Expected texts with their spans",
        )
        return ConversionReport(kind=self.kind, **tally.list_counts(), spans_key=key, **reports)


convert_spans = make_function(SpanConversion)
