"""Subwords: text → pieces with offsets, alignment with tokens, windows over long texts. Numpy only."""

from .align import align
from .batch import Alignment, PieceBatch, TokenBatch
from .tokenizer import PieceTokenizer
from .windows import Windows, cut_buckets, plan_windows

__all__ = [
    "Alignment",
    "PieceBatch",
    "PieceTokenizer",
    "TokenBatch",
    "Windows",
    "align",
    "cut_buckets",
    "plan_windows",
]
