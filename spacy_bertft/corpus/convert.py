"""Column files → a `.spacy` file, with a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import spacy
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab
from tqdm import tqdm

from ..errors import DataError, SettingError
from ..output import replace_when_done
from .columns import LineTally
from .docs import make_gold_docs
from .gold import GoldReader, GoldSentence
from .options import Kind, parse_options
from .report import ConversionReport, PartReport
from .split import split_sentences

# Only what was annotated: all that is written is what a column file says.
_ATTRS: dict[Kind, list[str]] = {"ents": ["ENT_IOB", "ENT_TYPE"], "tags": ["TAG"]}


def convert(
    input_paths: Path | str | Iterable[Path | str],
    output_path: Path | str,
    *,
    scheme: str | None = None,
    tag_column: str | None = None,
    lang: str = "en",
    n_sents: int = 1,
    dev: float = 0.0,
    dev_path: Path | str | None = None,
    seed: int = 0,
    orphans: str = "error",
    kind: str = "ents",
) -> ConversionReport:
    """Convert BIO or CoNLL-style column files to spaCy's binary format.

    Either everything is written or nothing: an error leaves existing outputs as they are.

    Args:
        input_paths: One file or several, which are read as one corpus.
        output_path: The `.spacy` file to write.
        scheme: The tag scheme; None to guess it.
        tag_column: `first` or `last`; None to find out.
        lang: Language code of the vocabulary.
        n_sents: How many sentences go into a Doc, at most. A Doc never crosses a `-DOCSTART-` line or a file.
        dev: Share of the sentences to split off, with all copies of a sentence on one side. It is sentences
            that are split: with `n_sents`, the neighbours in a Doc are then the nearest ones of its half.
        dev_path: Where to write them; by default `NAME-dev.spacy` beside `NAME.spacy`.
        seed: Seed of the split.
        orphans: `error` refuses a tag that may not stand where it stands; `repair` reads it as conlleval does.
        kind: `ents` writes `doc.ents`, `tags` writes the column as `token.tag_`.

    Raises:
        DataError: An input does not exist or holds no sentence.
        ColumnFormatError: A line cannot be read.
        SettingError: A setting is out of range, or the outputs are not to be written there.
    """
    sources = _list_paths(input_paths)
    outputs = _plan_outputs(sources, Path(output_path), dev, dev_path)
    options = parse_options(scheme, tag_column, orphans, kind)
    vocab = _make_vocab(lang)
    reader, tally = GoldReader(sources, options), LineTally()
    sentences = list(tqdm(reader.read(tally), desc="Reading", unit=" sentences", disable=None))
    if not sentences:
        raise DataError(f"{', '.join(map(str, sources))}: no sentence. Expected lines of words and tags.")
    halves = split_sentences(sentences, dev, seed) if dev else (sentences,)
    with ExitStack() as stack:
        parts = [
            _write_part(stack, path, half, vocab, n_sents, options.kind)
            for path, half in zip(outputs, halves, strict=True)
        ]
    return ConversionReport(
        paths=tuple(sources),
        n_lines=tally.n_lines,
        scheme=reader.scheme if options.kind == "ents" else None,
        output=parts[0],
        dev=parts[1] if dev else None,
        n_tags_repaired=tally.n_tags_repaired,
        n_lines_left_out=_list_left_out(tally),
    )


def _list_paths(paths: Path | str | Iterable[Path | str]) -> list[Path]:
    return [Path(paths)] if isinstance(paths, (str, Path)) else [Path(path) for path in paths]


def _plan_outputs(sources: Sequence[Path], output_path: Path, dev: float, dev_path: Path | str | None) -> list[Path]:
    outputs = [output_path]
    if dev:
        outputs.append(Path(dev_path or output_path.with_name(f"{output_path.stem}-dev.spacy")))
    elif dev_path:
        raise SettingError("dev_path", str(dev_path), "a share of sentences for it, such as dev = 0.1")
    for path in outputs:
        if path.suffix != ".spacy":
            # spaCy's own corpus reader passes over files of any other name.
            raise SettingError("output", str(path), "a name that ends in .spacy")
        if path.resolve() in {source.resolve() for source in sources}:
            raise SettingError("output", str(path), "a file that is not among the inputs")
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise SettingError("dev_path", str(outputs[1]), "another file than the output")
    return outputs


def _make_vocab(lang: str) -> Vocab:
    try:
        return spacy.blank(lang).vocab
    except ImportError as error:
        raise SettingError("lang", lang, "a language code that spaCy knows, such as en or xx") from error


def _write_part(
    stack: ExitStack, path: Path, sentences: Sequence[GoldSentence], vocab: Vocab, n_sents: int, kind: Kind
) -> PartReport:
    """Write one output under a temporary name; the stack renames all of them once all are written."""
    attrs = [*_ATTRS[kind], *(["SENT_START"] if n_sents > 1 else [])]
    doc_bin = DocBin(attrs=attrs)
    labels: Counter[str] = Counter()
    n_tokens = 0
    for doc in make_gold_docs(vocab, sentences, n_sents):
        doc_bin.add(doc)
        labels.update(_list_labels(doc, kind))
        n_tokens += len(doc)
    doc_bin.to_disk(stack.enter_context(replace_when_done(path)))
    return PartReport(path, len(sentences), len(doc_bin), n_tokens, dict(sorted(labels.items())))


def _list_labels(doc: Doc, kind: Kind) -> list[str]:
    return [ent.label_ for ent in doc.ents] if kind == "ents" else [token.tag_ for token in doc]


def _list_left_out(tally: LineTally) -> dict[str, int]:
    reasons = {"comment lines": tally.n_comments, "-DOCSTART- lines": tally.n_document_starts}
    return {reason: count for reason, count in reasons.items() if count}
