"""Column files → Docs → `.spacy` files, with a report."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, groupby, islice
from pathlib import Path
from typing import Any, Literal

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_bertft.data.columns.gold import ColumnTally, GoldReader, GoldSentence
from spacy_bertft.data.columns.layout import ColumnKind, ColumnOptions, Orphans
from spacy_bertft.data.conversion import (
    ConversionReport,
    Stream,
    choose_spans_key,
    make_blank,
    plan_outputs,
    write_corpus,
)
from spacy_bertft.data.hygiene import WHERE
from spacy_bertft.data.rows import read_label_names
from spacy_bertft.errors import SettingError
from spacy_bertft.tags.grammar import SchemeName, TagScheme


def make_gold_docs(
    vocab: Vocab, sentences: Iterable[GoldSentence], n_sents: int = 1, spans_key: str | None = None
) -> Iterator[Doc]:
    """Make Docs of up to `n_sents` sentences, all from one document.

    Args:
        vocab: The vocabulary of the Docs.
        sentences: The sentences, in order.
        n_sents: How many go into a Doc. From two on, the Docs know where their sentences start.
        spans_key: The group in `doc.spans` for spans; by default they are entities.

    Raises:
        SettingError: `n_sents` is below one.
    """
    if n_sents < 1:
        raise SettingError("n_sents", n_sents, "a number from 1 on")
    for _, document in groupby(sentences, key=lambda sentence: sentence.document):
        while group := list(islice(document, min(n_sents, sys.maxsize))):
            yield make_gold_doc(vocab, group, mark_sentences=n_sents > 1, spans_key=spans_key)


def make_gold_doc(
    vocab: Vocab, sentences: Sequence[GoldSentence], *, mark_sentences: bool = False, spans_key: str | None = None
) -> Doc:
    """Make one Doc of some sentences, each word followed by a blank.

    Args:
        vocab: The vocabulary of the Doc.
        sentences: At least one sentence, all of entities or all of plain tags.
        mark_sentences: Whether the Doc is to know where its sentences start.
        spans_key: The group in `doc.spans` for spans, also where there is none; by default they are entities.
    """
    words = [word for sentence in sentences for word in sentence.words]
    tags = [tag for sentence in sentences for tag in sentence.tags]
    starts: list[bool | int | None] | None = None
    if mark_sentences:
        starts = [token == 0 for sentence in sentences for token in range(len(sentence.words))]
    doc = Doc(vocab, words=words, spaces=[True] * len(words), tags=tags or None, sent_starts=starts)
    doc.user_data[WHERE] = sentences[0].where
    if spans_key is not None:
        doc.spans[spans_key] = _make_spans(doc, sentences)
    elif not tags:
        # Also where there is no entity: tokens that are known to be outside are not missing values.
        doc.set_ents(_make_spans(doc, sentences))
    return doc


def _make_spans(doc: Doc, sentences: Sequence[GoldSentence]) -> list[Span]:
    starts = accumulate((len(sentence.words) for sentence in sentences), initial=0)
    return [
        Span(doc, start + span.token_start, start + span.token_end, label=span.label)
        for start, sentence in zip(starts, sentences, strict=False)
        for span in sentence.spans
    ]


@dataclass(frozen=True, kw_only=True)
class ColumnReport(ConversionReport):
    """What a conversion of column files has done.

    Every sentence that was read is in one of the outputs: a sentence is never dropped. Blank lines are not
    counted among what was left out.

    Attributes:
        scheme: The scheme the files were read in; None for plain tags.
        n_tags_repaired: Tags changed to make their sequences valid.
        columns: In which columns words and tags are.
        n_tags_missing: Tokens without a tag.
        spans_key: The group in `doc.spans` that was written; None for entities and tags.
    """

    scheme: TagScheme | None
    n_tags_repaired: int = 0
    columns: str = ""
    n_tags_missing: int = 0
    spans_key: str | None = None

    @property
    def _counted(self) -> str:
        return ("spans" if self.spans_key else "entities") if self.scheme else "tags"

    def _list_columns(self) -> list[str]:
        return [self.columns, f"scheme {self.scheme}" if self.scheme else "plain tags"]

    def _list_notes(self) -> list[str]:
        missing = [f"tokens without a tag: {self.n_tags_missing:,}"] if self.n_tags_missing else []
        group = [f"doc.spans[{self.spans_key!r}]"] if self.spans_key else []
        return [*group, f"tags repaired: {self.n_tags_repaired:,}", *missing]


_ATTRS: dict[str, list[str]] = {"ents": ["ENT_IOB", "ENT_TYPE"], "tags": ["TAG"], "spans": []}


def convert(
    input_paths: Path | str | Iterable[Path | str],
    output_path: Path | str,
    *,
    scheme: SchemeName | Literal["bare"] | None = None,
    tag_column: str | int | None = None,
    word_column: str | int | None = None,
    lang: str = "en",
    n_sents: int = 1,
    dev: float = 0.0,
    dev_path: Path | str | None = None,
    test: float = 0.0,
    test_path: Path | str | None = None,
    seed: int = 0,
    orphans: Orphans = "error",
    kind: ColumnKind = "ents",
    spans_key: str | None = None,
    file_format: str | None = None,
    label_names: Path | str | None = None,
    encoding: str | None = None,
    fix: bool = False,
    dry_run: bool = False,
    problems_path: Path | str | None = None,
) -> ColumnReport:
    """Convert files with labels to spaCy's binary format.

    Column files (BIO, CoNLL, CoNLL-U) have a word and its tag on each line. Labelled texts are rows of CSV or TSV
    files, or lines of JSONL files. Either everything is written or nothing: an error leaves existing outputs as
    they are.

    Args:
        input_paths: Files to read as one corpus.
        output_path: The .spacy file to write.
        scheme: How tags spell entities: bio, iob1, biluo or bioes, or bare for labels without a prefix, of which those
            of adjacent words are one entity; by default guessed from the files.
        tag_column: The column of the tags: its number, from 1, its name in a header line, in `# global.columns` or
            in CoNLL-U (such as XPOS instead of UPOS), first or last; by default found in each file. Of spans, several
            columns separated by commas, such as 3,4; by default all that have entity tags.
        word_column: The column of the words, likewise (such as FORM in CoNLL-U); by default found in each file.
        lang: Language code, such as en or de; xx for any language.
        n_sents: Sentences in a document, at most. A document never crosses a `-DOCSTART-` line or a file.
        dev: Share to split off for development, such as 0.1. Copies of a sentence stay together. With n_sents,
            sentences are split before they are joined to documents.
        dev_path: Where to write it; by default a-dev.spacy next to a.spacy.
        test: Share to split off for testing, such as 0.2.
        test_path: Where to write it; by default a-test.spacy next to a.spacy.
        seed: Seed of the split; the same one gives the same parts.
        orphans: What to do with tags in invalid places, such as I-PER after O: error, or repair, as conlleval does.
        kind: What to read: ents (entities), tags (such as parts of speech) or spans (which may overlap, from several
            columns) from column files. On the command line also cats (categories), numbers or choices (of endings) from
            labelled texts, and qa; by default what the format of the first file has.
        spans_key: The group in doc.spans that spans are written to; by default sc.
        file_format: How words and tags are stored, if not in columns: inline (word|POS|TAG, a sentence per line), pair
            (words in NAME.in, tags in NAME.out), cells (CSV or TSV with a column of sentences) or lists (JSON with a
            list of words and one of tags).
        label_names: A file of names, one per line, for tags that are numbers; the first line names 0.
        encoding: How the files are encoded, such as cp1252; by default UTF-8, or UTF-16 with its mark.
        fix: Correct what has one right answer: remove the language in front of every word, as in de:Haus.
        dry_run: Write nothing; show what the input is read as, and its first document.
        problems_path: Where to list, as JSONL, what may be wrong: texts that are there twice or with other labels,
            entities that begin or end with punctuation, labels that may be misspelled.

    Raises:
        DataError: An input does not exist or holds no sentence, or there are too few sentences to split.
        ColumnFormatError: A line cannot be read.
        SettingError: A setting is out of range, or the outputs are not to be written there.
    """
    plan = plan_outputs(
        input_paths, output_path, {"test": (test, test_path), "dev": (dev, dev_path)}, seed, dry_run, problems_path
    )
    names = () if label_names is None else read_label_names(Path(label_names))
    options = ColumnOptions(scheme, tag_column, orphans, kind, word_column, file_format, names, fix, encoding)
    spans_key = choose_spans_key(kind, spans_key)
    vocab: Any = make_blank(lang).vocab
    vocab.lex_attr_getters = {}  # what is known of words is not written, and takes longer than all else
    sources = [path for path in plan.sources if not (file_format == "pair" and path.suffix == ".out")]
    reader, tally = GoldReader(sources, options), ColumnTally()
    reports = write_corpus(
        plan,
        Stream(reader.read, tally, ColumnTally),
        partial(make_gold_docs, vocab, n_sents=n_sents, spans_key=spans_key),
        partial(list_annotations, kind=kind),
        get_key=lambda sentence: " ".join(sentence.words),
        attrs=[*_ATTRS[kind], *(["SENT_START"] if n_sents > 1 else [])],
        has_sentences=True,
        nothing="no sentence. Expected lines of words and tags",
    )
    return ColumnReport(
        scheme=None if options.kind == "tags" else reader.scheme,
        n_tags_repaired=tally.n_tags_repaired,
        **tally.list_counts(),
        columns=reader.describe_columns(),
        n_tags_missing=tally.n_tags_missing,
        spans_key=spans_key,
        **reports,
    )


def list_annotations(doc: Doc, kind: str) -> list[str]:
    """List the labels of the entities of a Doc or of all its groups of spans, or its tags."""
    if kind == "spans":
        return [span.label_ for group in doc.spans.values() for span in group]
    return [ent.label_ for ent in doc.ents] if kind == "ents" else [token.tag_ for token in doc if token.tag_]
