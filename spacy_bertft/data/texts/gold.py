"""CSV, TSV and JSONL files → labelled texts, the gold standard of `doc.cats`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from spacy_bertft.data.lines import check_is_file
from spacy_bertft.data.texts.delimited import read_delimited
from spacy_bertft.data.texts.jsonl import read_jsonl
from spacy_bertft.data.texts.labels import AnswerReader
from spacy_bertft.data.texts.options import TextFormat, TextOptions
from spacy_bertft.data.texts.rows import Row, RowTally
from spacy_bertft.errors import DataError


@dataclass(frozen=True)
class LabelledText:
    """A text, or a pair of texts, with what it is to teach.

    Attributes:
        row: The row, with the text as it stands there.
        cats: The labels that the row names, with values from 0 to 1.
        is_complete: Whether other labels are known not to hold; otherwise nothing is known of them.
    """

    row: Row
    cats: Mapping[str, float]
    is_complete: bool = True

    @property
    def key(self) -> bytes:
        """What two copies of a text, or of a pair, have in common: all but the whitespace, as a digest."""
        words = "\x1f".join(" ".join(text.split()) for text in (self.row.text, self.row.second or ""))
        return blake2b(words.encode("utf-8"), digest_size=16).digest()


class TextReader:
    """Reads files of labelled texts, each in its own format.

    Reading streams, and may be done again.

    Args:
        paths: The files.
        options: How to read them.

    Raises:
        DataError: No file was given, or there is no such file.
        SettingError: The format of a file is not known.
    """

    def __init__(self, paths: Sequence[Path], options: TextOptions) -> None:
        if not paths:
            raise DataError("No input file was given. Expected at least one CSV, TSV or JSONL file.")
        for path in paths:
            check_is_file(path)
        self.options = options
        self.formats: list[tuple[Path, TextFormat]] = [(path, options.get_format(path)) for path in paths]

    def read(self, tally: RowTally | None = None) -> Iterator[LabelledText]:
        """Read all texts, file after file; a row without text, or without an answer to learn from, is left out.

        Args:
            tally: Counts lines and what was left out on the way.

        Raises:
            DataError: A file does not exist.
            ColumnFormatError: A row cannot be read, or has no label.
        """
        tally = RowTally() if tally is None else tally
        for path, file_format in self.formats:
            answers = AnswerReader(self.options, tally)
            for row in self._read_rows(path, file_format, tally):
                if row.second is None and not row.text.strip():
                    tally.n_empty_texts += 1
                elif labels := answers.read(row):
                    yield LabelledText(row, *labels)

    def _read_rows(self, path: Path, file_format: TextFormat, tally: RowTally) -> Iterator[Row]:
        if file_format == "jsonl":
            return read_jsonl(path, self.options, tally)
        return read_delimited(path, file_format, self.options, tally)
