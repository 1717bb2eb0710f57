"""Subwords: text → pieces with offsets, alignment with tokens, windows over long texts. Numpy only."""

from spacy_bertft.tokens.alignment import PieceBatch, TokenBatch, align
from spacy_bertft.tokens.tokenizer import PieceTokenizer
from spacy_bertft.tokens.windows import WindowLayout, plan_windows

__all__ = [
    "PieceBatch",
    "PieceTokenizer",
    "TokenBatch",
    "WindowLayout",
    "align",
    "plan_windows",
]
