"""How long the texts of a corpus are, and what its labels are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.vocab import Vocab
from tqdm import tqdm

from spacy_bertft.data.choices import parse_choice
from spacy_bertft.data.columns.docs import make_gold_doc
from spacy_bertft.data.columns.gold import GoldReader, join_columns
from spacy_bertft.data.columns.layout import ColumnOptions
from spacy_bertft.data.docs import choose_spans_key, read_docs
from spacy_bertft.data.files import list_paths
from spacy_bertft.data.reports import format_left_out
from spacy_bertft.data.rows import Tally
from spacy_bertft.data.texts.labels import list_present
from spacy_bertft.errors import DataError, SettingError, format_count

StatsKind = Literal["ents", "tags", "spans", "cats", "numbers"]
CountPieces = Callable[[list[str]], Sequence[int]]

SUBWORD_TOKENS = "subword tokens"
# BERT puts [CLS] before the pieces of a window and [SEP] after them.
_N_SPECIAL = 2
_BATCH_SIZE = 512
_KINDS: tuple[StatsKind, ...] = ("ents", "tags", "spans", "cats", "numbers")

# What is listed of `doc.cats`: the labels of a text, or the numbers that it has.
_OF_TEXTS: dict[str, Callable[[dict[str, float]], list[str]]] = {"cats": list_present, "numbers": list}


class Lengths(NamedTuple):
    """The usual figures of a distribution of lengths."""

    total: int
    mean: float
    median: float
    p95: float
    p99: float
    longest: int


@dataclass(frozen=True, eq=False)
class CorpusStats:
    """Lengths and labels of a corpus.

    Attributes:
        paths: The files, as they were given.
        word_lengths: `(D,)` tokens per text.
        piece_lengths: `(D,)` subword tokens per text without special ones, or None where no tokenizer was given.
        window: Subword tokens that a model takes at once, special ones included.
        label_counts: Entities or spans by label, tokens by tag, or texts by label; the most frequent first.
        n_tags_repaired: Tags of column files that had to be read leniently.
        columns: In which columns words and tags of column files are.
        n_lines_left_out: Lines of column files that were left out, by reason.
    """

    paths: tuple[Path, ...]
    word_lengths: NDArray[np.int64]
    piece_lengths: NDArray[np.int64] | None
    window: int
    label_counts: Mapping[str, int]
    n_tags_repaired: int = 0
    columns: str = ""
    n_lines_left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_texts(self) -> int:
        """The number of texts."""
        return len(self.word_lengths)

    @property
    def n_windowed(self) -> int | None:
        """The number of texts too long for one window, or None where pieces were not counted."""
        if self.piece_lengths is None:
            return None
        return int((self.piece_lengths + _N_SPECIAL > self.window).sum())

    @property
    def windowed_share(self) -> float | None:
        """The share of texts too long for one window, or None where pieces were not counted."""
        return None if self.n_windowed is None else self.n_windowed / self.n_texts

    @property
    def lengths(self) -> dict[str, NDArray[np.int64]]:
        """The lengths by unit: words and, where they were counted, subword tokens."""
        pieces = {} if self.piece_lengths is None else {SUBWORD_TOKENS: self.piece_lengths}
        return {"words": self.word_lengths, **pieces}

    def format_rows(self) -> list[tuple[str, ...]]:
        """Format the lengths as rows, the first one naming the columns."""
        summaries = [summarize_lengths(lengths) for lengths in self.lengths.values()]
        return [
            ("per text", *self.lengths),
            ("mean", *(f"{summary.mean:,.1f}" for summary in summaries)),
            ("median", *(f"{summary.median:,.0f}" for summary in summaries)),
            ("95 % have at most", *(f"{summary.p95:,.0f}" for summary in summaries)),
            ("99 % have at most", *(f"{summary.p99:,.0f}" for summary in summaries)),
            ("longest", *(f"{summary.longest:,}" for summary in summaries)),
            ("all texts", *(f"{summary.total:,}" for summary in summaries)),
        ]

    def format_label_rows(self) -> list[tuple[str, str, str]]:
        """Format the label counts as rows, the first one naming the columns."""
        total = sum(self.label_counts.values())
        rows = [(label, f"{count:,}", f"{count / total:.1%}") for label, count in self.label_counts.items()]
        return [("label", "count", "share"), *rows]

    def format_notes(self) -> str:
        """Format in one line how many texts there are, and how many need windows."""
        notes = [format_count(self.n_texts, "text")]
        if self.windowed_share is None:
            notes.append("subword tokens not counted: no encoder was given")
        else:
            share = f"{self.n_windowed:,} ({self.windowed_share:.2%})"
            notes.append(f"{share} longer than a window of {self.window:,} subword tokens")
        if self.n_tags_repaired:
            notes.append(f"illegal tags, read as conlleval does: {self.n_tags_repaired:,}")
        if self.columns:
            notes.append(self.columns)
        if self.n_lines_left_out:
            notes.append(f"left out: {format_left_out(self.n_lines_left_out)}")
        return "; ".join(notes) + "."


class _Text(NamedTuple):
    text: str
    n_words: int
    labels: list[str]


def measure_corpus(
    paths: Path | str | Iterable[Path | str],
    tokenizer: CountPieces | None = None,
    window: int = 512,
    *,
    kind: str = "ents",
    tag_column: str | int | None = None,
    word_column: str | int | None = None,
) -> CorpusStats:
    """Measure the texts of `.spacy` files and column files together.

    A text is a Doc of a `.spacy` file or a sentence of a column file. Column files are read leniently: a corpus may
    be measured before it is in order.

    Args:
        paths: The files.
        tokenizer: From texts to their numbers of subword tokens, special ones left out; None to count words only.
        window: Subword tokens that a model takes at once, special ones included.
        kind: `ents` counts entities by label, `tags` counts tokens by tag, `spans` counts those of all groups in
            `doc.spans`, `cats` counts texts by the labels whose value is 0.5 or more, `numbers` counts texts by the
            numbers that they have. Only `.spacy` files have the last two.
        tag_column: The column of the tags in column files: its number from 1, its name, `first` or `last`; None to find
            it.
        word_column: The same of the words.

    Raises:
        DataError: A file does not exist, cannot be read, or no file holds a text; or `cats` are to be counted in
            a file that is not a `.spacy` file.
        ColumnFormatError: A line of a column file cannot be read.
        SettingError: `kind` is unknown, or `window` has no room for a subword token.
    """
    if window <= _N_SPECIAL:
        raise SettingError("window", window, f"more than {_N_SPECIAL} subword tokens")
    sources = list_paths(paths)
    counted, tally = parse_choice("kind", kind, _KINDS), Tally()
    columns: dict[Path, str] = {}
    of_columns: Any = "ents" if counted in _OF_TEXTS else counted
    options = ColumnOptions(kind=of_columns, tag_column=tag_column, word_column=word_column, orphans="repair")
    read = _read_texts(sources, counted, tally, options, columns)
    texts = iter(tqdm(read, desc="Measuring", unit=" texts", disable=None))
    n_words: list[int] = []
    n_pieces: list[int] = []
    labels: Counter[str] = Counter()
    while batch := list(islice(texts, _BATCH_SIZE)):
        n_words.extend(text.n_words for text in batch)
        labels.update(label for text in batch for label in text.labels)
        if tokenizer is not None:
            n_pieces.extend(tokenizer([text.text for text in batch]))
    if not n_words:
        raise DataError(f"{', '.join(map(str, sources)) or 'no file'}: there is no text to measure.")
    return CorpusStats(
        paths=tuple(sources),
        word_lengths=np.array(n_words, dtype=np.int64),
        piece_lengths=None if tokenizer is None else np.array(n_pieces, dtype=np.int64),
        window=window,
        label_counts=dict(sorted(labels.items(), key=lambda item: (-item[1], item[0]))),
        n_tags_repaired=tally.n_tags_repaired,
        columns=join_columns(columns),
        n_lines_left_out=dict(tally.left_out),
    )


def summarize_lengths(lengths: NDArray[np.int64]) -> Lengths:
    """Summarize lengths.

    Args:
        lengths: `(D,)` lengths; at least one.
    """
    # Whole lengths: a quantile between two of them is the length of no text.
    median, p95, p99 = np.quantile(lengths, [0.5, 0.95, 0.99], method="inverted_cdf").tolist()
    return Lengths(int(lengths.sum()), float(lengths.mean()), median, p95, p99, int(lengths.max()))


def _read_texts(
    paths: Sequence[Path], kind: StatsKind, tally: Tally, options: ColumnOptions, columns: dict[Path, str]
) -> Iterator[_Text]:
    vocab = Vocab()
    for path in paths:
        if path.suffix == ".spacy":
            docs = read_docs(path, vocab)
        elif kind in _OF_TEXTS:
            raise DataError(f"{path}: not a .spacy file. Convert it first: spacy-bertft convert --as {kind}.")
        else:
            reader = GoldReader([path], options)
            columns[path] = reader.describe_columns()
            spans_key = choose_spans_key(kind, None)
            docs = (make_gold_doc(vocab, [sentence], spans_key=spans_key) for sentence in reader.read(tally))
        for doc in docs:
            labels = _OF_TEXTS[kind](doc.cats) if kind in _OF_TEXTS else _list_annotations(doc, kind)
            yield _Text(doc.text, len(doc), labels)


def _list_annotations(doc: Doc, kind: str) -> list[str]:
    """List the labels of the entities of a Doc or of all its groups of spans, or its tags."""
    if kind == "spans":
        return [span.label_ for group in doc.spans.values() for span in group]
    return [ent.label_ for ent in doc.ents] if kind == "ents" else [token.tag_ for token in doc if token.tag_]
