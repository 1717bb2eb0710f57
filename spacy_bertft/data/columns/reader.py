"""The spaCy reader that trains from column files without a conversion."""

# No `from __future__ import annotations` here: confection reads the annotations of registered functions at runtime.

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.training import Example

from spacy_bertft.data.columns.docs import make_gold_docs
from spacy_bertft.data.columns.gold import GoldReader
from spacy_bertft.data.columns.layout import ColumnOptions
from spacy_bertft.data.docs import choose_spans_key
from spacy_bertft.errors import SettingError


def configure_column_corpus(
    path: Path | None,
    scheme: str | None = None,
    n_sents: int = 1,
    orphans: str = "error",
    limit: int = 0,
    tag_column: str | int | None = None,
    kind: str = "ents",
    word_column: str | int | None = None,
    spans_key: str | None = None,
) -> Callable[[Language], Iterable[Example]]:
    """Configure a reader of column files, `spacy-bertft.ColumnCorpus.v1`.

    Args:
        path: The column file.
        scheme: The tag scheme: `bio`, `iob1`, `biluo` or `bioes`; by default guessed from the tags.
        n_sents: Maximum sentences of an example.
        orphans: What to do with tags in invalid places, such as I-PER after O: `error`, or `repair` as conlleval does.
        limit: Maximum number of examples; 0 for all.
        tag_column: The column of the tags: its number from 1, its name, `first` or `last`; by default found in
            the file.
        kind: `ents` for entities, `tags` for `token.tag_`, `spans` for spans of several columns, which may overlap.
        word_column: The column of the words, likewise.
        spans_key: The group in `doc.spans` that spans are written to; by default `sc`.

    Returns:
        A function from a pipeline to its examples. As with spaCy's own corpus, the predicted side is what the
        pipeline's tokenizer makes of the text.

    Raises:
        SettingError: A value is not among the choices.
    """
    if path is None:
        raise SettingError("path", path, "a column file; set paths.train and paths.dev")
    chosen: Any = {"scheme": scheme, "orphans": orphans, "kind": kind}
    options = ColumnOptions(**chosen, tag_column=tag_column, word_column=word_column)
    # confection hands over a string as it is, also where a Path is annotated.
    key = choose_spans_key(kind, spans_key)
    return partial(_read_examples, path=Path(path), options=options, n_sents=n_sents, limit=limit, spans_key=key)


def _read_examples(
    nlp: Language, path: Path, options: ColumnOptions, n_sents: int, limit: int, spans_key: str | None
) -> Iterator[Example]:
    docs = make_gold_docs(nlp.vocab, GoldReader([path], options).read(), n_sents, spans_key)
    for reference in islice(docs, limit or None):
        reference.user_data.clear()  # where it was read, for reports; spaCy warns of it when Docs are joined
        yield Example(nlp.make_doc(reference.text), reference)
