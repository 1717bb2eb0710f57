"""Column files → Docs → `.spacy` files, with a report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from spacy_bertft.data.columns.docs import pack_gold_docs
from spacy_bertft.data.columns.gold import GoldReader
from spacy_bertft.data.columns.layout import ColumnOptions
from spacy_bertft.data.conversion import Conversion, Stream, make_function, write_corpus
from spacy_bertft.data.docs import choose_spans_key, make_blank
from spacy_bertft.data.packed import PackedDoc
from spacy_bertft.data.reports import ConversionReport
from spacy_bertft.data.rows import Tally, read_lines
from spacy_bertft.errors import ColumnFormatError, SettingError

_ATTRS: dict[str, list[str]] = {"ents": ["ENT_IOB", "ENT_TYPE"], "tags": ["TAG"], "spans": []}


@dataclass(kw_only=True)
class ColumnConversion(ColumnOptions, Conversion):
    """Convert files of words and tags (BIO, CoNLL, CoNLL-U and others) to spaCy's binary format.

    Args:
        n_sents: Sentences in a document, at most. A document never crosses a `-DOCSTART-` line or a file.
        spans_key: The group in doc.spans that spans are written to; by default sc.

    Raises:
        DataError: An input does not exist or holds no sentence, or there are too few sentences to split.
        ColumnFormatError: A line cannot be read.
        SettingError: A setting is out of range, or the outputs are not to be written there.
    """

    n_sents: int = 1
    spans_key: str | None = None

    def run(self) -> ConversionReport:
        """Convert the files."""
        spans_key = choose_spans_key(self.kind, self.spans_key)
        if self.names and self.file_format != "lists":
            raise SettingError("label_names", self.label_names, "none here: it names the numbers of tags in JSON lists")
        vocab: Any = make_blank(self.lang).vocab
        vocab.lex_attr_getters = {}  # what is known of words is not written, and takes longer than all else
        is_pair = self.file_format == "pair"
        sources = [path for path in self.sources if not (is_pair and path.suffix == ".out")]
        reader, tally = GoldReader(sources, self), Tally()
        intents = _read_intents(sources, tally, self.encoding) if is_pair else {}
        if intents and self.n_sents > 1:
            raise SettingError("n_sents", self.n_sents, "1, since each sentence has an intent in the file `label`")
        pack = partial(pack_gold_docs, vocab, n_sents=self.n_sents, spans_key=spans_key)
        reports = write_corpus(
            self,
            Stream(reader.read, tally),
            (lambda sentences, attrs: _add_intents(pack(sentences, attrs), intents)) if intents else pack,
            get_key=lambda sentence: " ".join(sentence.words),
            attrs=[*_ATTRS[self.kind], *(["SENT_START"] if self.n_sents > 1 else [])],
            has_sentences=True,
            nothing="no sentence. Expected lines of words and tags",
        )
        return ConversionReport(
            kind=self.kind,
            scheme=None if self.kind == "tags" else reader.scheme,
            **tally.list_counts(),
            columns=reader.describe_columns(),
            spans_key=spans_key,
            **reports,
        )


convert_columns = make_function(ColumnConversion)


def _read_intents(paths: Sequence[Path], tally: Tally, encoding: str | None) -> dict[tuple[Path, int], str]:
    """Read the intents of sentences, in the file `label` next to those of a pair, as of SNIPS and ATIS.

    Raises:
        ColumnFormatError: There are more or fewer of them than sentences, or one is empty.
    """
    intents: dict[tuple[Path, int], str] = {}
    for path in paths:
        label_path = path.with_name("label")
        if label_path.is_file():
            n_lines = sum(1 for _ in read_lines(path, encoding=encoding))
            found = {number: line.strip() for number, line in read_lines(label_path, encoding=encoding)}
            if len(found) != n_lines or "" in found.values():
                problem = "a line is empty, or missing, or one too many"
                expected = f"Expected an intent for each of the {n_lines:,} lines of {path}."
                raise ColumnFormatError(label_path, len(found) or 1, problem, expected)
            intents |= {(path, number): intent for number, intent in found.items()}
            tally.note("intents of sentences, in doc.cats", f"{label_path}, line 1", n_lines)
    return intents


def _add_intents(docs: Iterable[PackedDoc], intents: Mapping[Any, str]) -> Iterator[PackedDoc]:
    labels = sorted(set(intents.values()))
    for doc in docs:
        intent = intents.get(doc.where)
        yield doc._replace(cats={label: float(label == intent) for label in labels if intent})
