"""Texts with labels in files without names for either: fastText, a label before each text, a folder for each class."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from spacy_bertft.data.files import find_files
from spacy_bertft.data.records import Record
from spacy_bertft.data.rows import Tally, read_lines, read_text
from spacy_bertft.data.texts.options import TextOptions

_FASTTEXT = re.compile(r"__label__(\S+)\s*")


def read_fasttext(path: Path, options: TextOptions, tally: Tally) -> Iterator[Record]:
    """Read lines of a text each, with labels such as `__label__spam` before, in or after it; others teach nothing."""
    for number, line in _read_full_lines(path, options, tally):
        if labels := _FASTTEXT.findall(line):
            yield _make_record(path, number, options, _FASTTEXT.sub("", line).strip(), labels)
        else:
            tally.leave_out("lines without a label", f"{path}, line {number}")


def read_label_first(path: Path, options: TextOptions, tally: Tally) -> Iterator[Record]:
    """Read lines of a label, a blank or a tab, and a text, as of TREC and SST."""
    for number, line in _read_full_lines(path, options, tally):
        label, *text = line.split(maxsplit=1)
        yield _make_record(path, number, options, "".join(text), label)


def read_folders(path: Path, options: TextOptions, tally: Tally) -> Iterator[Record]:
    """Read the texts `.txt` of a directory that has one for each class, as of IMDb."""
    for file in find_files(path, ".txt"):
        if file.parent.parent == path:
            tally.n_lines += 1
            yield _make_record(file, 1, options, read_text(file, options.encoding), file.parent.name)
        else:
            tally.leave_out("texts that are not in a folder of a class", str(file))


def _read_full_lines(path: Path, options: TextOptions, tally: Tally) -> Iterator[tuple[int, str]]:
    for number, line in read_lines(path, tally, options.encoding):
        if line.strip():
            yield number, line
        else:
            tally.left_out["empty lines"] += 1


def _make_record(path: Path, line: int, options: TextOptions, text: str, label: object) -> Record:
    return Record(path, line, {options.text_column: text, options.label_column or "label": label})
