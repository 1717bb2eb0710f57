"""Documents that know where their sentences end."""

from __future__ import annotations

from collections.abc import Sequence

from spacy.language import Language
from spacy.tokens import Doc


def join_sentences(nlp: Language, texts: Sequence[str]) -> Doc:
    """Join texts to one document of which each is a sentence."""
    docs = [nlp.make_doc(text) for text in texts]
    starts = {sum(map(len, docs[:index])) for index in range(len(docs))}
    joined = Doc.from_docs(docs) if docs else nlp.make_doc("")
    for token in joined:
        token.is_sent_start = token.i in starts
    return joined
