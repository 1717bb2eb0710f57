"""Labelled texts → Docs with `doc.cats` → `.spacy` files, with a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.data.conversion import Stream, make_docs_in_zones, write_corpus
from spacy_bertft.data.docs import make_exact_doc
from spacy_bertft.data.endings import make_choice
from spacy_bertft.data.packed import WHERE, pack_docs
from spacy_bertft.data.pairs import make_pair
from spacy_bertft.data.reports import ConversionReport
from spacy_bertft.data.rows import DELIMITERS
from spacy_bertft.data.settings import Conversion, make_blank, make_function
from spacy_bertft.data.texts.labels import LabelledText, list_present, read_labelled_texts
from spacy_bertft.data.texts.options import TextOptions
from spacy_bertft.data.texts.rows import TextTally, find_formats
from spacy_bertft.errors import DataError, SettingError


def make_text_doc(nlp: Language, text: LabelledText, labels: Iterable[str]) -> Doc:
    """Make the Doc of a text, of a pair or of a choice.

    Args:
        nlp: Its tokenizer is used.
        text: The text.
        labels: All labels of the corpus: `doc.cats` holds every one, 0 where the text does not name it, unless nothing
            is known of it.

    Raises:
        ColumnFormatError: The text is longer than spaCy takes, its tokenizer would change it, or it cannot be one
            of a pair or of a choice.
    """
    row = text.row
    first, *others = row.parts
    kind = "a choice" if row.endings is not None else "a pair" if others else "a document"
    try:
        if row.endings is not None:
            doc = make_choice(nlp, first, others)
        else:
            doc = make_pair(nlp, first, *others) if others else make_exact_doc(nlp, first)
    except DataError as error:
        raise row.error(f"the row is not {kind}", str(error)) from error
    doc.user_data[WHERE] = (row.record.path, row.record.line)
    doc.cats = {label: text.cats.get(label, 0.0) for label in labels if text.is_complete or label in text.cats}
    return doc


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
        formats, tally = find_formats(self.sources, self), TextTally()
        for name in ("header", "quoting", "ragged"):
            value = getattr(self, name)
            if value is not None and not any(file_format in DELIMITERS for _, file_format in formats):
                raise SettingError(name, value, "no such setting here: it is for CSV and TSV files")
        texts = Stream(partial(read_labelled_texts, formats, self), tally, TextTally)
        labels, ranges = _measure_labels(texts, self)
        list_labels: Callable[[dict[str, float]], list[str]] = list if self.number_columns else list_present
        reports = write_corpus(
            self,
            texts,
            partial(
                pack_docs,
                partial(make_docs_in_zones, nlp, partial(make_text_doc, nlp, labels=labels)),
                lambda doc: list_labels(doc.cats),
            ),
            get_key=lambda text: text.key,
            get_labels=lambda text: list_labels(dict(text.cats)),
            labels=labels,
        )
        return ConversionReport(
            **tally.list_counts(),
            answer_counts=dict(tally.answers),
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
        raise DataError(
            f"{paths}: no row has a value of {', '.join(missing)}. Expected a column or field of that name."
        )
    names = list(conversion.names)
    if not has_text or not (values or names):
        raise DataError(f"{paths}: no {'label' if has_text else 'text'}. Expected rows with a text and a label.")
    if names and conversion.first_label is None and names[0] not in values:
        raise DataError(
            f"{paths}: no row has the label 0, which is {names[0]!r}. "
            "Expected numbers from 0; pass --first-label 1 if they start at 1, --first-label 0 if none of them is 0."
        )
    return names or sorted(values), {label: (low, total / n, high) for label, (low, total, high, n) in values.items()}
