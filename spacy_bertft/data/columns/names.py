"""The names of the columns of a file: what CoNLL-U calls them, what a file calls them, and what the names mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from spacy_bertft.data.columns.options import Kind

CONLLU = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
_CONLLU_PLUS = re.compile(r"# *global\.columns *= *(.*\S)")
_HEAD = re.compile(r"[0-9]+|_")

# Of several names that a file has, the first one counts.
_WORD_NAMES = ("form", "word", "words", "token", "tokens")
_TAG_NAMES: Mapping[Kind, Sequence[str]] = {
    "ents": ("ner", "ner_tag", "ner_tags", "entity", "tag", "tags", "label", "labels"),
    "tags": ("upos", "pos", "pos_tag", "pos_tags", "xpos", "tag", "tags", "label", "labels"),
}
_ALL_TAG_NAMES = frozenset(name for names in _TAG_NAMES.values() for name in names)


def find_declared_names(line: str) -> tuple[str, ...]:
    """Find the names that a comment of CoNLL-U Plus declares; empty where it declares none."""
    declared = _CONLLU_PLUS.fullmatch(line)
    return tuple(declared[1].split()) if declared else ()


def is_conllu(rows: Sequence[Sequence[str]]) -> bool:
    """Say whether numbered rows are those of CoNLL-U: ten columns, and the seventh is the number of the head."""
    n_heads = sum(len(row) == len(CONLLU) and _HEAD.fullmatch(row[6]) is not None for row in rows)
    return 2 * n_heads > len(rows)


def is_header(cells: Sequence[str]) -> bool:
    """Say whether the cells of a line name a column of words and one of tags, as no token does."""
    names = [cell.casefold() for cell in cells]
    return any(name in _WORD_NAMES for name in names) and any(name in _ALL_TAG_NAMES for name in names)


def find_word_column(names: Sequence[str]) -> int | None:
    """Find the column of the words by its name."""
    return _find(names, _WORD_NAMES)


def find_tag_column(names: Sequence[str], kind: Kind) -> int | None:
    """Find the column of the tags by its name. CoNLL-U's UPOS goes before XPOS, which many treebanks leave empty."""
    return _find(names, _TAG_NAMES[kind])


def _find(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    folded = [name.casefold() for name in names]
    return next((folded.index(name) for name in wanted if name in folded), None)
