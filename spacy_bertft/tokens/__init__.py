"""Subword tokens ("pieces"): text → pieces with offsets, alignment with tokens, windows over long texts.

In: strings, and the character offsets of tokens. Out: flat numpy arrays. Knows neither spaCy nor torch.
"""

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
