"""Labelled texts → Docs with `doc.cats` → `.spacy` files, with a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.data.conversion import (
    ConversionReport,
    Stream,
    make_blank,
    make_docs_in_zones,
    plan_outputs,
    write_corpus,
)
from spacy_bertft.data.docs import make_exact_doc
from spacy_bertft.data.endings import make_choice
from spacy_bertft.data.hygiene import WHERE
from spacy_bertft.data.pairs import make_pair
from spacy_bertft.data.rows import DELIMITERS, read_label_names
from spacy_bertft.data.texts.labels import LabelledText, TextReader, list_present
from spacy_bertft.data.texts.options import TextOptions, parse_columns
from spacy_bertft.data.texts.rows import TextTally
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


@dataclass(frozen=True, kw_only=True)
class TextReport(ConversionReport):
    """What a conversion of labelled texts has done.

    Attributes:
        answer_counts: Rows by what was answered in Prodigy; those that were ignored are left out.
        ranges: Of numbers, the lowest, the mean and the highest, by name.
    """

    answer_counts: Mapping[str, int] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)

    def _list_notes(self) -> list[str]:
        answers = ", ".join(f"{count:,} {answer}" for answer, count in self.answer_counts.items())
        notes = [f"answers: {answers}"] if answers else []
        return notes + [
            f"{name} from {low:g} to {high:g}, mean {mean:.4g}" for name, (low, mean, high) in self.ranges.items()
        ]


def convert_texts(
    input_paths: Path | str | Iterable[Path | str],
    output_path: Path | str,
    *,
    file_format: str | None = None,
    text_column: str = "text",
    label_column: str | None = None,
    label_columns: Mapping[str, str] | str | None = None,
    number_columns: Mapping[str, str] | str | None = None,
    choice_columns: Sequence[str] | str | None = None,
    second_text_column: str | None = None,
    header: bool | None = None,
    quoting: bool | None = None,
    ragged: bool | None = None,
    label_separator: str | None = None,
    label_names: Path | str | None = None,
    first_label: int | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    lang: str = "en",
    dev: float = 0.0,
    dev_path: Path | str | None = None,
    test: float = 0.0,
    test_path: Path | str | None = None,
    seed: int = 0,
    dry_run: bool = False,
    problems_path: Path | str | None = None,
) -> TextReport:
    """Convert files of labelled texts to spaCy's binary format: tables, JSON, and what annotation tools export.

    The texts are taken exactly as they are; `doc.cats` holds every label of the corpus, 1 or 0. A row without text
    is left out and counted. Where Prodigy wrote an `answer`, `reject` gives the label 0 and `ignore` leaves the row
    out; a label that a row was not asked about is not in its `doc.cats`, since nothing is known of it. Either
    everything is written or nothing: an error leaves existing outputs as they are.

    Args:
        input_paths: One file or several, which are read as one corpus.
        output_path: The `.spacy` file to write.
        file_format: The format of the files; by default what the name of each file ends with. On the command line, the
            name of any format; by default found in the content of the first file.
        text_column: The column or field of the texts: its name or, in CSV and TSV, its number, from 1.
        label_column: The column or field of the labels, likewise; by default label, cats or labels. Several, such as
            topic,mood, give a text the labels of all of them.
        label_columns: Columns or fields that are a label each, such as rude,threat, with a value from 0 to 1; an empty
            one and -1 are not known. 3=rude gives a column the name of its label.
        number_columns: For bert_regressor: the columns or fields of numbers instead of labels, such as score or
            year,length. 5=similarity gives a column a name in `doc.cats`. An empty cell is a number that is not known.
        choice_columns: For bert_multiple_choice: the columns or fields of the endings, such as ending0,ending1; or, in
            JSONL, a field that lists them. The label is the number of the right one, from 0; -1 or an empty one says
            that it is not known.
        second_text_column: The column or field of the second texts, where texts come in pairs. Of choices, what every
            ending begins with.
        header: Whether the first row of CSV and TSV files names the columns, which is the default.
        quoting: Whether double quotes in CSV and TSV files may enclose a cell, which is the default; otherwise they
            are text.
        ragged: Whether rows of CSV and TSV files may have more or fewer cells than the first one, as long as they have
            those that are read.
        label_separator: What separates the labels of a text, such as a comma, if texts may have several or none. A
            list or an object of labels in JSONL needs none.
        label_names: A file of label names, one per line, where the data have numbers for them: the first line names
            0.
        first_label: The number of the first name or ending, 0 or 1; by default 0, which of names then has to occur:
            otherwise the numbers may start at 1, and each label would be read as its neighbour.
        delimiter: What separates the cells of CSV and TSV files; by default found in their first lines.
        encoding: How files are encoded, such as cp1252; by default UTF-8, or UTF-16 with its mark.
        lang: Language code of the tokenizer.
        dev: Share of the texts to split off. Every label keeps its share, and copies of a text stay together.
        dev_path: Where to write them; by default `NAME-dev.spacy` next to `NAME.spacy`.
        test: Share of the texts to split off for testing.
        test_path: Where to write them; by default `NAME-test.spacy` next to `NAME.spacy`.
        seed: Seed of the split.
        dry_run: Write nothing; show what the input is read as, and its first document.
        problems_path: Where to list, as JSONL, what may be wrong: texts that are there twice or with other labels,
            entities that begin or end with punctuation, labels that may be misspelled.

    Raises:
        DataError: An input does not exist, there is no text or no label, there are too few texts to split, or the
            number 0 never occurs where `label_names` names it.
        ColumnFormatError: A row cannot be read.
        SettingError: A setting is out of range, or the outputs are not to be written there.
    """
    named: dict[str, object] = {"label_separator": label_separator, "label_names": label_names}
    if number_columns is not None or label_columns is not None:
        named |= {"label_column": label_column, "first_label": first_label, "choice_columns": choice_columns}
    if number_columns is not None:
        named["label_columns"] = label_columns
    for name, value in named.items():
        if value is not None and (number_columns or label_columns or choice_columns):
            kind = "choice_columns: the label is a number" if choice_columns else "number_columns: they have no labels"
            kind = kind if label_columns is None else "label_columns: each is a label"
            raise SettingError(name, value, f"none with {kind}")
    plan = plan_outputs(
        input_paths, output_path, {"test": (test, test_path), "dev": (dev, dev_path)}, seed, dry_run, problems_path
    )
    options = TextOptions(
        file_format=file_format,
        text_column=text_column,
        label_column=label_column,
        label_columns=parse_columns("label_columns", label_columns),
        number_columns=parse_columns("number_columns", number_columns),
        choice_columns=tuple(choice_columns.split(",") if isinstance(choice_columns, str) else choice_columns or ()),
        second_text_column=second_text_column,
        header=header is not False,
        quoting=quoting is not False,
        ragged=bool(ragged),
        label_separator=label_separator,
        label_names=() if label_names is None else read_label_names(Path(label_names)),
        first_label=first_label,
        delimiter=delimiter,
        encoding=encoding,
    )
    nlp = make_blank(lang)
    reader, tally = TextReader(plan.sources, options), TextTally()
    _check_layout_is_used(reader, {"header": header, "quoting": quoting, "ragged": ragged})
    texts = Stream(reader.read, tally, TextTally)
    labels, ranges = _measure_labels(texts, reader)
    list_labels: Callable[[dict[str, float]], list[str]] = list if options.number_columns else list_present
    reports = write_corpus(
        plan,
        texts,
        partial(make_docs_in_zones, nlp, partial(make_text_doc, nlp, labels=labels)),
        lambda doc: list_labels(doc.cats),
        get_key=lambda text: text.key,
        get_labels=lambda text: list_labels(dict(text.cats)),
        labels=labels,
    )
    return TextReport(
        **tally.list_counts(),
        answer_counts=dict(tally.answers),
        ranges=ranges if options.number_columns else {},
        **reports,
    )


def _measure_labels(
    texts: Iterable[LabelledText], reader: TextReader
) -> tuple[list[str], dict[str, tuple[float, float, float]]]:
    """List all labels of the corpus, in the order of `doc.cats`, and the lowest, mean and highest value of each."""
    paths = ", ".join(str(path) for path, _ in reader.formats)
    columns = reader.options.number_columns or reader.options.label_columns
    values: dict[str, tuple[float, float, float, int]] = {}
    has_text = False
    for text in texts:
        has_text = True
        for label, value in text.cats.items():
            low, total, high, n = values.get(label, (value, 0.0, value, 0))
            values[label] = min(low, value), total + value, max(high, value), n + 1
    if missing := sorted(columns.keys() - values):
        raise DataError(
            f"{paths}: no row has a value of {', '.join(missing)}. Expected a column or field of that name."
        )
    names = list(reader.options.label_names)
    if not has_text or not (values or names):
        raise DataError(f"{paths}: no {'label' if has_text else 'text'}. Expected rows with a text and a label.")
    if names and reader.options.first_label is None and names[0] not in values:
        raise DataError(
            f"{paths}: no row has the label 0, which is {names[0]!r}. "
            "Expected numbers from 0; pass --first-label 1 if they start at 1, --first-label 0 if none of them is 0."
        )
    return names or sorted(values), {label: (low, total / n, high) for label, (low, total, high, n) in values.items()}


def _check_layout_is_used(reader: TextReader, settings: Mapping[str, bool | None]) -> None:
    given = [(name, value) for name, value in settings.items() if value is not None]
    if given and not any(file_format in DELIMITERS for _, file_format in reader.formats):
        name, value = given[0]
        raise SettingError(name, value, "no such setting here: it is for CSV and TSV files")
