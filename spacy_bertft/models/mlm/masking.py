"""Masked windows: which pieces a model has to guess, and what it sees in their place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from spacy_bertft.tokens.alignment import Ints
from spacy_bertft.tokens.windows import PaddedWindows

# The label of a piece that is not to be guessed, as torch's cross-entropy has it.
IGNORED = -100

# Of the chosen pieces, eight in ten are hidden, one is another piece, and one is left as it is.
_HIDDEN, _HIDDEN_OR_OTHER = 0.8, 0.9


@dataclass(frozen=True)
class MaskingRule:
    """What is put in the place of the chosen pieces.

    Attributes:
        rate: Share of the words of a window that are chosen, above 0 and below 1.
        mask_id: The piece that hides another, such as `[MASK]`.
        ordinary_ids: `(V,)` the pieces that may stand in the place of another: all but special ones.
    """

    rate: float
    mask_id: int
    ordinary_ids: Ints


@dataclass(frozen=True)
class MaskedWindows:
    """Some windows, padded, with pieces to guess.

    Attributes:
        ids: `(W, P)` piece ids as the model sees them.
        mask: `(W, P)` 1 for a piece, 0 for padding.
        labels: `(W, P)` the true id of each piece that is to be guessed, `IGNORED` elsewhere.
    """

    ids: Ints
    mask: Ints
    labels: Ints


def mask_windows(padded: PaddedWindows, words: Ints, rule: MaskingRule, rng: Generator) -> MaskedWindows:
    """Choose pieces, and hide most of them.

    Args:
        padded: The windows.
        words: `(W, P)` number of the word that each piece belongs to; −1 for a piece that is never chosen.
        rule: What is put in their place.
        rng: Draws.

    Source: Devlin et al. (2019), section 3.1; whole words as in the later release of its code. Unlike there, what is
        left out of the vocabulary of other pieces is special.
    """
    is_chosen = choose_words(words, rule.rate, rng)
    draw = rng.random(words.shape)
    others = rng.choice(rule.ordinary_ids, size=words.shape)
    seen = np.where(draw < _HIDDEN, rule.mask_id, np.where(draw < _HIDDEN_OR_OTHER, others, padded.ids))
    ids = np.where(is_chosen, seen, padded.ids)
    return MaskedWindows(ids, padded.mask, np.where(is_chosen, padded.ids, IGNORED))


def choose_words(words: Ints, rate: float, rng: Generator) -> NDArray[np.bool_]:
    """Choose the same share of the words of every window, each word wholly or not at all.

    A share between two whole numbers is rounded up or down at random, so that it holds on average. At least one word
    is chosen: a window of four pieces would otherwise often teach nothing.

    Args:
        words: `(W, P)` number of the word that each piece belongs to; −1 for a piece that is never chosen.
        rate: The share.
        rng: Draws.

    Returns:
        `(W, P)` which pieces are chosen.

    Example:
        >>> choose_words(np.array([[-1, 4, 4, 4, -1], [-1, 5, -1, -1, -1]]), 0.15, np.random.default_rng(0)).astype(int)
        array([[0, 1, 1, 1, 0],
               [0, 1, 0, 0, 0]])
    """
    row, column = np.nonzero(words >= 0)
    is_chosen = np.zeros(words.shape, dtype=np.bool_)
    if len(row):
        keys = row * (words.max() + 1) + words[row, column]
        _, first, word_by_piece = np.unique(keys, return_index=True, return_inverse=True)
        is_chosen[row, column] = _choose_in_rows(row[first], rate, rng)[word_by_piece]
    return is_chosen


def _choose_in_rows(row: Ints, rate: float, rng: Generator) -> NDArray[np.bool_]:
    """Choose a share of the words of each row; of each word, `(U,)`, its row is given, in order."""
    n_words = np.bincount(row)
    n_wanted = np.maximum(1, np.floor(n_words * rate + rng.random(len(n_words))))
    order = np.lexsort((rng.random(len(row)), row))
    rank = np.arange(len(row)) - (np.cumsum(n_words) - n_words)[row]
    is_chosen = np.zeros(len(row), dtype=np.bool_)
    is_chosen[order] = rank < n_wanted[row]
    return is_chosen
