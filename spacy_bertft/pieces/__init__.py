"""Subwords: text → pieces with offsets, alignment with tokens, windows over long texts. Numpy only."""

from .align import align, group_tokens
from .batch import Alignment, PieceBatch, TokenBatch
from .layout import PaddedWindows, WindowLayout
from .masking import IGNORED, MaskedWindows, MaskingRule, mask_windows
from .pairs import encode_pairs, fit_pair
from .tokenizer import PieceTokenizer
from .windows import Windows, choose_stride, cut_buckets, plan_windows

__all__ = [
    "IGNORED",
    "Alignment",
    "MaskedWindows",
    "MaskingRule",
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
    "mask_windows",
    "plan_windows",
]
