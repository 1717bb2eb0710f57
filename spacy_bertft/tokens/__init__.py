"""Subwords: text → pieces with offsets, alignment with tokens, windows over long texts. Numpy only."""

from spacy_bertft.tokens.alignment import Alignment, PieceBatch, TokenBatch, align, group_tokens
from spacy_bertft.tokens.pairs import encode_pairs, fit_pair
from spacy_bertft.tokens.tokenizer import PieceTokenizer
from spacy_bertft.tokens.windows import PaddedWindows, WindowLayout, Windows, choose_stride, cut_buckets, plan_windows

__all__ = [
    "Alignment",
    "PaddedWindows",
    "PieceBatch",
    "PieceTokenizer",
    "TokenBatch",
    "WindowLayout",
    "Windows",
    "align",
    "choose_stride",
    "cut_buckets",
    "encode_pairs",
    "fit_pair",
    "group_tokens",
    "plan_windows",
]
