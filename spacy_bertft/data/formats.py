"""Which format the files of a corpus have, found in their content: one table.

A new format is one row: what it is called, what it can be converted to, which function does that, and how its files are
recognized. Of several rows that recognize a file, the first one counts.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from spacy_bertft.data.arrow import is_dataset, read_dataset
from spacy_bertft.data.choices import parse_choice
from spacy_bertft.data.columns.convert import ColumnConversion
from spacy_bertft.data.columns.detection import detect_layout
from spacy_bertft.data.columns.layout import CONLLU, TAG_NAMES, WORD_NAMES, ColumnOptions, find_column, is_header
from spacy_bertft.data.columns.tables import TABLES, find_sentence_column
from spacy_bertft.data.conversion import Conversion, Kind, make_function
from spacy_bertft.data.files import FileFormat, find_files, find_format, list_paths, open_path
from spacy_bertft.data.questions import QuestionConversion
from spacy_bertft.data.reports import ConversionReport
from spacy_bertft.data.rows import DELIMITERS, MAX_LINE_BYTES, READ_ERRORS, Layout, read_rows
from spacy_bertft.data.texts.convert import SpanConversion, TextConversion
from spacy_bertft.errors import DataError, SettingError, shorten

_SAMPLE_BYTES = 1 << 20
_N_LINES = 100  # that are looked at


@dataclass(frozen=True)
class Sample:
    """The start of a file.

    Attributes:
        path: The file.
        options: What was passed to the conversion, such as the names of columns.
    """

    path: Path
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def content(self) -> bytes:
        """The first megabyte, decompressed, and the whole first line of JSON."""
        if self.path.is_dir() or is_dataset(self.path):
            return b""
        with open_path(self.path, self.options.get("encoding")) as file, suppress(*READ_ERRORS):
            start = file.read(_SAMPLE_BYTES)
            return start + (file.readline(MAX_LINE_BYTES) if start[:1] in b"{[" and b"\n" not in start else b"")
        return b""

    @cached_property
    def text(self) -> str:
        """The same as text."""
        return self.content.decode("utf-8", "replace").lstrip("\ufeff")

    @cached_property
    def record(self) -> dict[str, Any]:
        """The first JSON object, of lines or of a list, or next to the text that it is about; empty where none is."""
        if is_dataset(self.path):
            return dict(next(read_dataset(self.path), {}))
        start = re.match(r'\s*\[?\s*(\[\s*"(?:[^"\\]|\\.)*"\s*,\s*)?(?=\{)', self.text)
        try:
            value, _ = json.JSONDecoder().raw_decode(self.text, start.end() if start else 0)
        except (ValueError, RecursionError):
            return {}
        return {**value, **({"text": ""} if start and start[1] else {})} if isinstance(value, dict) else {}

    @cached_property
    def further_records(self) -> list[dict[str, Any]]:
        """Some more JSON objects of lines: the first text may have no labels."""
        found = []
        for line in self.text.split("\n", _N_LINES)[1:_N_LINES] if self.record else ():
            with suppress(ValueError, RecursionError):
                found.append(json.loads(line))
        return [each for each in found if isinstance(each, dict)]

    @cached_property
    def header(self) -> list[str]:
        """The cells of the first row of a CSV or TSV file."""
        layout = Layout(delimiter=self.options.get("delimiter"))
        rows = read_rows(io.BytesIO(self.text.encode("utf-8")), self.path, self.delimited, layout)
        return [cell.strip() for cell in next((row.content for row in rows if not row.is_empty), [])]

    def has_cells(self, file_format: str) -> bool:
        """Return whether this is a file of labelled rows: its header, or an option, names a column of texts."""
        return self.delimited == file_format and ("text" in self.header or "text_column" in self.options)

    @property
    def delimited(self) -> FileFormat:
        """Whether commas or tabs separate cells, if this is a table: its name says which, or its first line."""
        named = find_format(self.path)[0]
        if named in DELIMITERS:
            return named
        return "tsv" if "\t" in self.text.partition("\n")[0] else "csv"

    def has_sentences(self) -> bool:
        """Return whether this is a table of words, tags and the sentences that they are in."""
        return is_header(self.header) and find_sentence_column(self.header) is not None

    def find_names(self, kind: Literal["ents", "tags"]) -> tuple[str, ...] | None:
        """Find the names of the columns, if this is a column file of a kind; there may be none."""
        names = ("tag_column", "word_column", "scheme", "encoding")
        given: dict[str, Any] = {name: self.options.get(name) for name in names}
        with suppress(DataError, SettingError):
            return detect_layout(self.path, ColumnOptions(kind=kind, **given)).names
        return None

    def has_lists(self) -> bool:
        """Return whether this is JSON with a list of words and one of tags."""
        lists = [name for name, value in self.record.items() if isinstance(value, list)]
        words = [str(self.options.get("word_column")), *WORD_NAMES]
        tags = [str(self.options.get("tag_column")), *TAG_NAMES["ents"], *TAG_NAMES["tags"]]
        return find_column(lists, words) is not None and find_column(lists, tags) is not None

    def is_inline(self) -> bool:
        """Return whether tags follow their words, as in `word|TAG`."""
        tokens = self.text.split()[:-1] or self.text.split()
        return bool(tokens) and min(token.rstrip("|").count("|") for token in tokens[:1000]) > 0

    def has_labels_first(self) -> bool:
        """Return whether lines begin with one of a few words, and most go on with several; columns have empty lines."""
        lines = [line.split(maxsplit=2) for line in self.text.splitlines()[:1000]]
        n_long, labels = sum(len(line) > 2 for line in lines), {line[0] for line in lines if len(line) > 1}
        return all(len(line) > 1 for line in lines) and 2 * n_long > len(lines) >= 3 * len(labels)

    def find_format(self, formats: Iterable[Format]) -> Format | None:
        """Find the first of some formats that recognizes the file."""
        return next((each for each in formats if each.matches(self)), None)

    def describe(self) -> str:
        """Describe what a file of no known format looks like."""
        if b"\0" in self.content or self.content[:2] in (b"PK", b"\x1f\x8b"):
            return "a binary file"
        if not self.text.strip():
            return "an empty file"
        if self.text.lstrip().startswith("<"):
            return "XML or HTML"
        if self.record:
            return f"JSON objects with the fields {', '.join(self.record)}"
        n_columns = {len(line.split()) for line in self.text.splitlines()[:-1] if line.strip()}
        if len(n_columns) == 1 and 1 not in n_columns:
            return "columns without tags such as O and B-PER (--as tags reads any others, --scheme bare labels)"
        if len(self.header) > 1:
            return f"rows with the cells {', '.join(self.header)}"
        return f"text without columns, which begins with {self.text.splitlines()[0][:40]!r}"


class Format(NamedTuple):
    """A format of files.

    Attributes:
        name: What `--format` calls it; empty if it is only assumed.
        kinds: What it can be converted to, which `--as` chooses from; the first one is the default.
        conversion: Converts it.
        matches: Recognizes a file by its start.
    """

    name: str
    kinds: tuple[str, ...]
    conversion: type[Conversion]
    matches: Callable[[Sample], bool]


_TAGS = ("ents", "tags", "spans")
_SPANS = ("ents", "spans")
_CATS = ("cats", "numbers", "choices")


def _is_pair(sample: Sample) -> bool:
    return sample.path.suffix == ".in" and sample.path.with_suffix(".out").is_file()


def _is_task(sample: Sample, kind: str) -> bool:
    """Return whether this is a task of Label Studio, with spans or with choices."""
    is_task = re.search('"(annotations|completions|predictions)"', sample.text) is not None
    return isinstance(sample.record.get("data"), dict) and is_task and kind in sample.text


def _has(*fields: str, words: str = "") -> Callable[[Sample], bool]:
    """Return what recognizes JSON objects with some fields, and words somewhere in them."""
    return lambda sample: sample.record.keys() >= {*fields} and all(word in sample.text for word in words.split())


def _has_spans(sample: Sample) -> bool:
    return any(map(_is_marked, [sample.record, *sample.further_records]))


def _is_marked(values: Mapping[str, Any]) -> bool:
    """Return whether a JSON object is a text with spans."""
    if values.get("_view_id") in ("classification", "choice"):  # of Prodigy: a text with marks to look at
        return False
    if "text" in values and any(isinstance(values.get(name), list) for name in ("spans", "entities", "ents")):
        return True
    if "text" in values and isinstance(values.get("spans"), dict):  # by group
        return True
    lists = [value for name in ("label", "labels") if isinstance(value := values.get(name), list)]
    first = next((value[0] for value in lists if value), None)
    return "text" in values and (isinstance(first, list) or (isinstance(first, dict) and "start" in first))


FORMATS: tuple[Format, ...] = (
    Format("lists", _TAGS, ColumnConversion, Sample.has_lists),
    Format("squad", ("qa",), QuestionConversion, _has(words='"paragraphs" "qas"')),
    Format("spacy-json", _SPANS, SpanConversion, _has("paragraphs", words='"sentences"')),
    Format("label-studio", _SPANS, SpanConversion, lambda sample: _is_task(sample, '"start"')),
    Format("label-studio", ("cats",), TextConversion, lambda sample: _is_task(sample, "")),
    Format("dataturks", _SPANS, SpanConversion, _has("content", words='"points"')),
    Format("dataturks", ("cats",), TextConversion, _has("content", "annotation")),
    Format("spans", _SPANS, SpanConversion, _has_spans),
    Format("brat", _SPANS, SpanConversion, lambda sample: any(find_files(sample.path, ".ann"))),
    Format("pubtator", _SPANS, SpanConversion, lambda sample: re.match(r"[^|\t\n]+\|t\|", sample.text) is not None),
    Format("webanno", _SPANS, SpanConversion, lambda sample: sample.text.startswith("#FORMAT=WebAnno TSV 3")),
    Format("jsonl", _CATS, TextConversion, lambda sample: sample.options.get("text_column", "text") in sample.record),
    Format("cells", _TAGS, ColumnConversion, Sample.has_sentences),
    Format("pair", ("ents", "tags"), ColumnConversion, _is_pair),
    Format("fasttext", ("cats",), TextConversion, lambda sample: sample.text.startswith("__label__")),
    Format("folders", ("cats",), TextConversion, lambda sample: any(sample.path.glob("*/*.txt"))),
    Format("xlsx", _CATS, TextConversion, lambda sample: sample.path.suffix.lower() == ".xlsx"),
    Format("csv", _CATS, TextConversion, lambda sample: sample.has_cells("csv")),
    Format("tsv", _CATS, TextConversion, lambda sample: sample.has_cells("tsv")),
    Format("inline", _TAGS, ColumnConversion, Sample.is_inline),
    Format("columns", _TAGS, ColumnConversion, lambda sample: sample.find_names("ents") is not None),
    Format("conllu", ("tags",), ColumnConversion, lambda sample: sample.find_names("tags") == CONLLU),
    Format("label-first", ("cats",), TextConversion, Sample.has_labels_first),
)


def detect_format(paths: Sequence[Path], options: Mapping[str, Any]) -> Format:
    """Find the format of files, and what they are to be converted to.

    Args:
        paths: The files, at least one.
        options: What was passed to the conversion. `kind` leaves only formats that can be converted to that, and
            `file_format` names the format.

    Returns:
        The format of the first file, with nothing but that in its `kinds`. It has no name if others have another one,
        which the same function reads.

    Raises:
        DataError: There is no such file, no format matches the first one, or another function reads another one.
        SettingError: No format has this name, or the one of this name cannot be converted to that; or columns of
            numbers or choices were passed for something else, or not for these.
    """
    name, kind = options.get("file_format"), options.get("kind")
    for needing, setting in (("numbers", "number_columns"), ("choices", "choice_columns")):
        if kind is None and setting in options:
            kind = needing
        if kind == needing and setting not in options:
            raise SettingError(setting, None, f"the columns of the {kind} with --as {kind}")
        if kind in _CATS and kind != needing and setting in options:
            raise SettingError(setting, options[setting], f"no such option with --as {kind}")
    found = [each for each in FORMATS if kind is None or kind in each.kinds]
    if name is not None:
        parse_choice("file_format", name, [each.name for each in FORMATS])
        named = [each for each in found if each.name == name]
        if not named:
            raise SettingError("file_format", name, f"one of {', '.join(each.name for each in found)} with --as {kind}")
        return named[0]._replace(kinds=(kind or named[0].kinds[0],))
    sample = Sample(paths[0], options)
    first = sample.find_format(found)
    if first is None and kind is not None:
        # The conversion itself says best what is wrong with a file that no format matches.
        return found[0]._replace(kinds=(kind,), name="")
    if first is None:
        shown = " ".join(sample.describe().splitlines())  # names of columns may hold line ends, and half characters
        shown = shown.encode("utf-8", "backslashreplace").decode("utf-8")
        problem = f"no labelled data of a known format; it looks like {shorten(shown)}"
        names = ", ".join(dict.fromkeys(each.name for each in FORMATS))
        raise DataError(f"{paths[0]}: {problem}. Pass --format with one of {names}.")
    names_of_all = {first.name}
    # The files next to that of words, of a pair, hold tags alone.
    for path in paths[1:] if first.name != "pair" else ():
        other = Sample(path, options).find_format(found) or first
        is_mixed = other.name != first.name and not TABLES.keys().isdisjoint({first.name, other.name})
        if other.conversion != first.conversion or is_mixed:
            raise DataError(f"{paths[0]} is {first.name}, but {path} is {other.name}. Expected files of one kind.")
        names_of_all.add(other.name)
    # Of several formats, each file is read in that of its own name.
    return first._replace(kinds=(kind or first.kinds[0],), name=first.name if len(names_of_all) == 1 else "")


@dataclass(kw_only=True)
class AnyConversion(SpanConversion, TextConversion, ColumnConversion, QuestionConversion):
    """Convert files with labels to spaCy's binary format.

    Column files (BIO, CoNLL, CoNLL-U) have a word and its tag on each line. Labelled texts are rows of CSV or TSV
    files, or lines of JSONL files. These and other formats are found in the content of the files. Either everything is
    written or nothing: an error leaves existing outputs as they are.

    Args:
        file_format: The format of the files; by default found in the content of the first one. Words and tags that are
            not in columns are inline (word|POS|TAG, a sentence per line), pair (words in NAME.in, tags in NAME.out),
            cells (CSV or TSV with a column of sentences) or lists (JSON with a list of words and one of tags).
        kind: What to read: ents (entities), tags (such as parts of speech) or spans (which may overlap) from words and
            tags or from texts with spans, cats (categories), numbers or choices (of endings) from labelled texts, or
            qa (questions); by default what the format of the first file has.
        label_names: A file of names, one per line, or names, where labels or tags are numbers: the first one names 0.

    Raises:
        DataError: An input does not exist, has no known format or holds nothing, or there is too little to split.
        ColumnFormatError: A line or a row cannot be read.
        SettingError: A setting is out of range or not one of this format, or the outputs are not to be written there.
    """

    kind: Kind | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Leave the checks to the conversion of the format."""

    def run(self) -> ConversionReport:
        """Find the format, and convert the files with those of the settings that it has."""
        paths = list_paths(self.input_paths)
        found = detect_format(paths, self.given)
        [kind] = found.kinds
        known = {each.name for each in fields(found.conversion)}
        for name in self.given.keys() - known - {"kind"}:
            raise SettingError(name, self.given[name], f"no such option with --as {kind}")
        given = {**self.given, "input_paths": paths, "file_format": found.name or None, "kind": kind}
        report = found.conversion(**{name: value for name, value in given.items() if name in known}).run()
        return replace(report, kind=kind, file_format=found.name or None)


convert = make_function(AnyConversion)
