"""Texts for masked language modeling: cut into windows once, masked anew each time they are seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from spacy_bertft.errors import CheckpointError
from spacy_bertft.tokens import PieceTokenizer, WindowLayout, plan_windows
from spacy_bertft.tokens.alignment import Ints, join_pieces
from spacy_bertft.tokens.windows import PaddedWindows, cut_buckets

# The label of a piece that is not predicted, as torch's cross-entropy has it.
IGNORED = -100

# Of the chosen pieces, eight in ten are hidden, one is another piece, and one is left as it is.
_HIDDEN, _HIDDEN_OR_OTHER = 0.8, 0.9


@dataclass(frozen=True)
class MaskingRule:
    """What replaces the chosen pieces.

    Attributes:
        rate: Share of the words of a window that are chosen, above 0 and below 1.
        mask_id: The piece that hides another, such as `[MASK]`.
        ordinary_ids: `(V,)` the pieces that may replace another: all but special ones.
    """

    rate: float
    mask_id: int
    ordinary_ids: Ints


@dataclass(frozen=True)
class MaskedWindows:
    """Some windows, padded, with pieces to predict.

    Attributes:
        ids: `(W, P)` piece ids as the model sees them.
        mask: `(W, P)` 1 for a piece, 0 for padding.
        labels: `(W, P)` the true id of each piece that is to be predicted, `IGNORED` elsewhere.
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


# Texts that are cut in one call, and windows that are sorted by length together.
_N_TEXTS, _N_WINDOWS = 1024, 2048


@dataclass(frozen=True, eq=False)
class MaskedTexts:
    """Texts in windows, ready to be masked.

    Attributes:
        layout: Their pieces and windows. Windows of a text do not overlap, but for the last one where it is full.
        word_by_piece: `(P,)` number of the word that is chosen as a whole, another for each word of a text; −1 for
            special pieces.
        rule: How they are masked.
        pad_id: The id of padding.
        windows: Indices of the windows with anything to predict.
    """

    layout: WindowLayout
    word_by_piece: Ints
    rule: MaskingRule
    pad_id: int
    windows: Ints

    @property
    def n_pieces(self) -> int:
        """Pieces that can be predicted."""
        return int((self.word_by_piece >= 0).sum())

    def cut(self, max_pieces: int) -> list[Ints]:
        """Cut the windows into buckets of at most `max_pieces`, padding included, the shortest first."""
        return [self.windows[bucket] for bucket in cut_buckets(self.layout.lengths[self.windows], max_pieces)]

    def plan_steps(self, max_pieces: int, *, epochs: int, n_steps: int | None, rng: Generator) -> list[Ints]:
        """Plan which windows are learned from in each step.

        Args:
            max_pieces: Most pieces of a step, padding included. A longer window has a step of its own.
            epochs: How often each window is seen.
            n_steps: How many steps there are instead, over as many epochs as they need.
            rng: Draws the order.

        Returns:
            The windows of each step, of similar length, in random order.
        """
        steps: list[Ints] = []
        while epochs > 0 if n_steps is None else len(steps) < n_steps:
            order = rng.permutation(self.windows)
            buckets = [
                chunk[bucket]
                for chunk in np.split(order, range(_N_WINDOWS, len(order), _N_WINDOWS))
                for bucket in cut_buckets(self.layout.lengths[chunk], max_pieces)
            ]
            steps.extend(buckets[index] for index in rng.permutation(len(buckets)))
            epochs -= 1
        return steps[:n_steps]

    def mask(self, bucket: Ints, rng: Generator) -> MaskedWindows:
        """Mask the windows of a bucket."""
        padded = self.layout.pad(bucket, self.pad_id)
        # The numbers of words are laid out as the ids are, and what that puts around them is never chosen.
        words = replace(self.layout, pieces=self.layout.pieces._replace(ids=self.word_by_piece)).pad(bucket, -1).ids
        column, n_prefix = np.arange(words.shape[1]), len(self.layout.tokenizer.prefix_ids)
        end = padded.mask.sum(axis=1, keepdims=True) - len(self.layout.tokenizer.suffix_ids)
        is_text = (column >= n_prefix) & (column < end)
        return mask_windows(padded, np.where(is_text, words, -1), self.rule, rng)


def cut_masked_texts(
    texts: Sequence[str], tokenizer: PieceTokenizer, rule: MaskingRule, *, size: int, pad_id: int, whole_words: bool
) -> MaskedTexts:
    """Cut texts into pieces and windows.

    Args:
        texts: The texts.
        tokenizer: Cuts them.
        rule: How they are to be masked.
        size: Pieces of a window, special pieces left out.
        pad_id: The id of padding.
        whole_words: Whether all pieces of a word are chosen together.

    Raises:
        DataError: A text holds half of a surrogate pair.
    """
    chunks = [texts[start : start + _N_TEXTS] for start in range(0, len(texts), _N_TEXTS)]
    pieces = join_pieces(*map(tokenizer.encode, chunks or [[]]))
    is_ordinary = ~np.isin(pieces.ids, tokenizer.list_special_ids(pad_id))
    words = np.arange(len(pieces.ids))
    if whole_words:  # numbered from 0 in each chunk: they have to differ within a window only
        words = np.concatenate([tokenizer.number_words(chunk) for chunk in chunks or [[]]])
    windows = plan_windows(pieces.lengths, size, stride=size)
    layout = WindowLayout(pieces, windows, np.full(len(windows.sequence), -1, dtype=np.intp), tokenizer)
    n_before = np.concatenate([[0], np.cumsum(is_ordinary)])
    [filled] = np.nonzero(n_before[windows.piece_end] > n_before[windows.piece_start])
    return MaskedTexts(layout, np.where(is_ordinary, words, -1), rule, pad_id, filled)


def make_masking_rule(name: str, tokenizer: PieceTokenizer, pad_id: int, rate: float) -> MaskingRule:
    """Make the rule by which the pieces of a checkpoint are masked.

    Args:
        name: The checkpoint.
        tokenizer: Its tokenizer.
        pad_id: The id of padding.
        rate: Share of the pieces that are to be predicted.

    Raises:
        CheckpointError: Its tokenizer has no piece that hides another.
    """
    mask_id = tokenizer.find_mask_id()
    if mask_id is None:
        raise CheckpointError(f"The tokenizer of {name} has no mask token such as [MASK]. Expected that of an encoder.")
    [known] = np.nonzero(tokenizer.names != "")
    return MaskingRule(rate, mask_id, np.setdiff1d(known, tokenizer.list_special_ids(pad_id)))
