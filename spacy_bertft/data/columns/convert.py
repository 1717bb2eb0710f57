"""Column files → `.spacy` files, with a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from spacy.tokens import Doc
from spacy.vocab import Vocab
from tqdm import tqdm

from spacy_bertft.data.columns.docs import make_gold_docs
from spacy_bertft.data.columns.gold import GoldReader, GoldSentence
from spacy_bertft.data.columns.options import Kind, parse_options
from spacy_bertft.data.columns.report import ColumnReport
from spacy_bertft.data.columns.sentences import LineTally
from spacy_bertft.data.columns.split import split_sentences
from spacy_bertft.data.outputs import PartWriter, list_paths, make_blank, plan_outputs
from spacy_bertft.data.report import PartReport
from spacy_bertft.errors import DataError
from spacy_bertft.output import replace_all_when_done

_ATTRS: dict[Kind, list[str]] = {"ents": ["ENT_IOB", "ENT_TYPE"], "tags": ["TAG"]}


def convert(
    input_paths: Path | str | Iterable[Path | str],
    output_path: Path | str,
    *,
    scheme: str | None = None,
    tag_column: str | int | None = None,
    word_column: str | int | None = None,
    lang: str = "en",
    n_sents: int = 1,
    dev: float = 0.0,
    dev_path: Path | str | None = None,
    test: float = 0.0,
    test_path: Path | str | None = None,
    seed: int = 0,
    orphans: str = "error",
    kind: str = "ents",
) -> ColumnReport:
    """Convert BIO or CoNLL-style column files to spaCy's binary format.

    Either everything is written or nothing: an error leaves existing outputs as they are.

    Args:
        input_paths: One file or several, which are read as one corpus.
        output_path: The `.spacy` file to write.
        scheme: The tag scheme; None to guess it.
        tag_column: The column of the tags: its number from 1, its name, `first` or `last`; None to find it. Names are
            those of a header line, of `# global.columns`, or of CoNLL-U, such as XPOS in place of UPOS.
        word_column: The same of the words.
        lang: Language code of the vocabulary.
        n_sents: How many sentences go into a Doc, at most. A Doc never crosses a `-DOCSTART-` line or a file.
        dev: Share of the sentences to split off, with all copies of a sentence on one side. It is sentences
            that are split: with `n_sents`, the neighbours in a Doc are then the nearest ones of its part.
        dev_path: Where to write them; by default `NAME-dev.spacy` beside `NAME.spacy`.
        test: Share of the sentences to split off for testing.
        test_path: Where to write them; by default `NAME-test.spacy` beside `NAME.spacy`.
        seed: Seed of the split.
        orphans: `error` refuses a tag that may not stand where it stands; `repair` reads it as conlleval does.
        kind: `ents` writes `doc.ents`, `tags` writes the column as `token.tag_`.

    Raises:
        DataError: An input does not exist or holds no sentence, or there are too few sentences to split.
        ColumnFormatError: A line cannot be read.
        SettingError: A setting is out of range, or the outputs are not to be written there.
    """
    sources = list_paths(input_paths)
    plan = plan_outputs(sources, Path(output_path), {"test": (test, test_path), "dev": (dev, dev_path)})
    options = parse_options(scheme, tag_column, orphans, kind, word_column)
    vocab = make_blank(lang).vocab
    reader, tally = GoldReader(sources, options), LineTally()
    sentences = list(tqdm(reader.read(tally), desc="Reading", unit=" sentences", disable=None))
    if not sentences:
        raise DataError(f"{', '.join(map(str, sources))}: no sentence. Expected lines of words and tags.")
    parts = split_sentences(sentences, plan.shares, seed)
    with replace_all_when_done(list(plan.paths.values())) as temporary_paths:
        reports = {
            name: _write_part(temporary_path, path, part, vocab, n_sents, options.kind)
            for temporary_path, (name, path), part in zip(temporary_paths, plan.paths.items(), parts, strict=True)
        }
    return ColumnReport(
        paths=tuple(sources),
        n_lines=tally.n_lines,
        scheme=reader.scheme if options.kind == "ents" else None,
        n_tags_repaired=tally.n_tags_repaired,
        n_lines_left_out=tally.list_left_out(),
        n_byte_order_marks=tally.n_byte_order_marks,
        columns=reader.describe_columns(),
        n_tags_missing=tally.n_tags_missing,
        **reports,
    )


def _write_part(
    temporary_path: Path, path: Path, sentences: Sequence[GoldSentence], vocab: Vocab, n_sents: int, kind: Kind
) -> PartReport:
    writer = PartWriter(path, [*_ATTRS[kind], *(["SENT_START"] if n_sents > 1 else [])])
    for doc in make_gold_docs(vocab, sentences, n_sents):
        writer.add(doc, _list_labels(doc, kind))
    return writer.write(temporary_path, n_sentences=len(sentences))


def _list_labels(doc: Doc, kind: Kind) -> list[str]:
    return [ent.label_ for ent in doc.ents] if kind == "ents" else [token.tag_ for token in doc if token.tag]
