"""Formats whose files name no fields → records: annotations next to a text, and labels without a column.

brat, PubTator and WebAnno give records with `text` and `spans`; fastText, lines that begin with a label, and a folder
for each class give a text and a label.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from spacy_bertft.data.files import find_files
from spacy_bertft.data.records import Record, read_records
from spacy_bertft.data.rows import Tally, read_lines, read_text
from spacy_bertft.data.texts.options import TextOptions
from spacy_bertft.data.texts.tools import UNKNOWN, list_units
from spacy_bertft.errors import ColumnFormatError, DataError

_LONGEST_GAP = 100_000  # between sentences
_FASTTEXT = re.compile(r"__label__(\S+)\s*")
_NO_SPANS = "relations, events, attributes and notes"


def read_brat(path: Path, options: TextOptions, tally: Tally) -> Iterator[Record]:
    """Read the entities of texts that brat annotated.

    Args:
        path: A file `.ann`, with its text next to it in `.txt`, or a directory of such files.
        options: How both are encoded.
        tally: Counts lines, and what is left out: spans of several parts, where nothing is known then, and what is no
            span.

    Raises:
        DataError: A file is missing.
        ColumnFormatError: A line cannot be read.
    """
    files = find_files(path, ".ann")
    texts = {each.with_suffix("") for each in (find_files(path, ".txt") if path.is_dir() else ())}
    tally.left_out["texts without a file .ann"] += len(texts - {each.with_suffix("") for each in files})
    for each in files:
        yield _read_annotated(each, options, tally)


def _read_annotated(path: Path, options: TextOptions, tally: Tally) -> Record:
    text, spans, unknown = read_text(path.with_suffix(".txt"), options.encoding), [], []
    for number, line in read_lines(path, tally, options.encoding):
        if not line.startswith("T"):
            if line.strip():
                tally.left_out[_NO_SPANS] += 1
            continue
        match = re.fullmatch(r"T\S*\t(\S+) (\d{1,9} \d{1,9}(?:;\d{1,9} \d{1,9})*)(?:\t(.*))?", line)
        if match is None:
            problem = f"an entity is {line[:60]!r}"
            raise ColumnFormatError(path, number, problem, "Expected T1, tab, PER 0 5, tab, text.")
        label, *parts = match[1], *[list(map(int, part.split())) for part in match[2].split(";")]
        if not all(start < end <= len(text) for start, end in parts):
            problem = f"the text has no characters {match[2]}"
            raise ColumnFormatError(path, number, problem, f"Expected ranges within its {len(text):,} characters.")
        if len(parts) > 1:
            tally.left_out["spans of several parts"] += 1
            unknown += parts
        else:
            spans.append({"start": parts[0][0], "end": parts[0][1], "label": label, "text": match[3], "line": number})
    return Record(path, 1, {"text": text, "spans": spans, UNKNOWN: unknown})


def read_pubtator(path: Path, options: TextOptions, tally: Tally) -> Iterator[Record]:
    """Read the titles and abstracts of a PubTator file, each with its spans.

    Raises:
        DataError: There is no such file.
        ColumnFormatError: A line cannot be read.
    """
    lines = ((number, line) for number, line in read_lines(path, tally, options.encoding) if line.strip())
    for _, block in groupby(lines, key=lambda each: re.split(r"[|\t]", each[1], maxsplit=1)[0]):
        texts: list[str] = []
        spans: list[dict[str, Any]] = []
        first = 0
        for number, line in block:
            first = first or number
            if match := re.fullmatch(r"[^|\t]*\|[ta]\|(.*)", line):
                texts.append(match[1])
            elif match := re.match(r"[^\t]*\t(\d{1,9})\t(\d{1,9})\t([^\t]*)\t([^\t]+)", line):
                start, end = int(match[1]), int(match[2])
                spans.append({"start": start, "end": end, "label": match[4], "text": match[3], "line": number})
            elif "\t" in line:
                tally.left_out[_NO_SPANS] += 1
            else:
                raise ColumnFormatError(path, number, f"the line is {line[:60]!r}", "Expected 123|t|Title, or a span.")
        yield Record(path, first, {"text": " ".join(texts), "spans": spans, UNKNOWN: []})


def read_webanno(path: Path, options: TextOptions, tally: Tally) -> Iterator[Record]:
    """Read the document of a file in WebAnno's TSV 3, as INCEpTION exports it: sentences with blanks between them.

    Args:
        path: The file.
        options: The layer or the feature of the labels, as its label column; by default the named entities or, without
            them, the first layer of spans, and its feature `value` or the first one that is no identifier.
        tally: Counts lines, and other layers, which are left out.

    Raises:
        DataError: There is no such file, or it has no such layer.
        ColumnFormatError: A line cannot be read.
    """
    layers: list[tuple[str, str, int]] = []  # name, feature and column
    tokens: list[tuple[int, int, int, str]] = []  # line, first and last UTF-16 code unit, text
    spans: dict[object, dict[str, Any]] = {}
    text, sentence, n_units, width = "", "", 0, 3
    for number, line in read_lines(path, tally, options.encoding):
        if line.startswith("#T_"):
            name, *features = line.partition("=")[2].split("|")
            if line.startswith("#T_SP="):
                layers += [(name, each, width + features.index(each)) for each in features if each != "identifier"]
            width += len(features) + sum(each.startswith("ROLE_") for each in features) or 1
        elif line.startswith("#Text="):
            sentence += _unescape(line[6:])
        elif line and not line.startswith("#"):
            cells = line.split("\t")
            if len(cells) < width or not (match := re.fullmatch(r"(\d{1,9})-(\d{1,9})", cells[1])):
                problem = f"the line has {len(cells)} cells: {line[:40]!r}"
                expected = f"Expected {width}: 1-1, tab, 0-4, tab, a token, and layers."
                raise ColumnFormatError(path, number, problem, expected)
            start, end = int(match[1]), int(match[2])
            if sentence and start - n_units < _LONGEST_GAP:
                text += " " * (start - n_units) + sentence
                n_units, sentence = start + list_units(sentence)[-1], ""
            tokens.append((number, start, end, _unescape(cells[2])))
            column = _find_layer(path, layers, options.label_column)
            for value in re.split(r"(?<!\\)\|", cells[column]):
                label, _, key = re.sub(r"(?<!\\)\[(\d+)\]$", r"\t\1", value).partition("\t")
                if label == "*":
                    tally.left_out["spans without a label"] += 1
                elif label != "_":
                    new = {"start": start, "label": _unescape(label), "line": number}
                    spans.setdefault(key or object(), new)["end"] = end
    places = list_units(text)
    for number, start, end, token in tokens:
        found = text[bisect_left(places, start) : bisect_left(places, end)]
        if found != token:
            raise ColumnFormatError(path, number, f"{token!r} is not at {start} in #Text", f"There is {found[:40]!r}.")
    for span in spans.values():
        span |= {name: bisect_left(places, span[name]) for name in ("start", "end")}
    tally.left_out.update({"other layers": len({name for name, *_ in layers}) - 1})
    yield Record(path, 1, {"text": text, "spans": list(spans.values()), UNKNOWN: []})


def _find_layer(path: Path, layers: list[tuple[str, str, int]], wanted: str | None) -> int:
    """Find the column of the layer, or of the feature, with a name."""
    for name in (wanted,) if wanted else ("NamedEntity", "value", ""):
        for layer, feature, column in layers:
            if feature == name or layer.endswith(name):
                return column
    found = ", ".join(f"{layer}|{feature}" for layer, feature, _ in layers) or "none"
    raise DataError(f"{path}: no layer of spans {wanted or ''}, among {found}. Pass --label-column with one of them.")


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "r": "\r", "t": "\t"}.get(match[1], match[1]), text)


def read_fasttext(path: Path, options: TextOptions, tally: Tally) -> Iterator[Record]:
    """Read lines of a text each, with labels such as `__label__spam` before, in or after it; others teach nothing."""
    for row in read_records(path, "text", tally, layout=options):
        line = row.get_text("text_column", "text")
        if labels := _FASTTEXT.findall(line):
            yield _make_record(path, row.line, options, _FASTTEXT.sub("", line).strip(), labels)
        else:
            tally.leave_out("lines without a label", f"{path}, line {row.line}")


def read_label_first(path: Path, options: TextOptions, tally: Tally) -> Iterator[Record]:
    """Read lines of a label, a blank or a tab, and a text, as of TREC and SST; the first line says which it is."""
    separator = None
    for index, row in enumerate(read_records(path, "text", tally, layout=options)):
        line = row.get_text("text_column", "text")
        if index == 0 and "\t" in line:
            separator = "\t"
        label, *text = line.split(separator, maxsplit=1)
        yield _make_record(path, row.line, options, "".join(text), label)


def read_folders(path: Path, options: TextOptions, tally: Tally) -> Iterator[Record]:
    """Read the texts `.txt` of a directory that has one for each class, as of IMDb."""
    for file in find_files(path, ".txt"):
        if file.parent.parent == path:
            tally.n_lines += 1
            yield _make_record(file, 1, options, read_text(file, options.encoding), file.parent.name)
        else:
            tally.leave_out("texts that are not in a folder of a class", str(file))


def _make_record(path: Path, line: int, options: TextOptions, text: str, label: object) -> Record:
    return Record(path, line, {options.text_column: text, options.label_column or "label": label})


READERS: dict[str, Callable[[Path, TextOptions, Tally], Iterator[Record]]] = {
    "brat": read_brat,
    "pubtator": read_pubtator,
    "webanno": read_webanno,
    "fasttext": read_fasttext,
    "label-first": read_label_first,
    "folders": read_folders,
}
