"""Uncertainty sampling: how uncertain a component is about a text, from 0 to 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc

from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.text_classifier import TextClassifier
from spacy_bertft.components.token_component import TokenComponent
from spacy_bertft.errors import UnsupportedError
from spacy_bertft.tags.chain import path_log_probs

Floats = NDArray[np.float64]


def measure_uncertainty(component: BertComponent, docs: list[Doc]) -> Floats:
    """Measure how uncertain a component is about each document, without changing the documents.

    Args:
        component: The component.
        docs: `B` documents.

    Returns:
        `(B,)` from 0, sure, to 1. Of tags, one minus the probability of the best path, per token; of exclusive
        categories, the entropy of their probabilities; of others, the mean entropy of each label by itself.

    Raises:
        UnsupportedError: The component gives neither tags nor categories.
    """
    if isinstance(component, TokenComponent):
        return _measure_paths(component, docs)
    if isinstance(component, TextClassifier):
        probs = component.predict(docs)
        return measure_exclusive(probs) if component.exclusive else measure_multilabel(probs)
    raise UnsupportedError(
        f"{component.name} gives neither tags nor categories, so its uncertainty cannot be measured."
    )


def measure_exclusive(probs: Floats) -> Floats:
    """Measure the entropy of exclusive categories, as a share of the largest there is.

    Args:
        probs: `(B, L)` probabilities, rows sum to one; at least two columns.

    Returns:
        `(B,)` from 0 to 1.

    Source: Settles (2009), section 3.1.

    Example:
        >>> measure_exclusive(np.array([[0.5, 0.5], [1.0, 0.0]])).round(3).tolist()
        [1.0, 0.0]
    """
    entropy: Floats = _surprise(probs).sum(axis=1) / np.log(probs.shape[1])
    return _bound(entropy)


def measure_multilabel(probs: Floats) -> Floats:
    """Measure the mean entropy, in bits, of labels that hold or do not.

    Args:
        probs: `(B, L)` probabilities of labels that may hold together.

    Returns:
        `(B,)` from 0 to 1.

    Source: the average over labels of Esuli & Sebastiani (2009), with entropy as in Settles (2009), section 3.1.

    Example:
        >>> measure_multilabel(np.array([[0.5, 0.5], [1.0, 0.5]])).round(3).tolist()
        [1.0, 0.5]
    """
    entropy: Floats = (_surprise(probs) + _surprise(1 - probs)).mean(axis=1) / np.log(2)
    return _bound(entropy)


def measure_paths(log_probs: Floats, lengths: NDArray[np.integer]) -> Floats:
    """Measure how improbable paths are, per token, so that long texts are no more uncertain than short ones.

    This is one minus the geometric mean of a token's share in the probability, which orders texts exactly as the
    log-probability per token does.

    Args:
        log_probs: `(B,)` log-probabilities of the best paths, in nats.
        lengths: `(B,)` tokens of each path; one of none is sure.

    Returns:
        `(B,)` from 0 to 1.

    Source: maximum normalized log-probability, Shen et al. (2018).

    Example:
        >>> measure_paths(np.log([0.25, 1.0]), np.array([2, 0])).round(3).tolist()
        [0.5, 0.0]
    """
    return _bound(-np.expm1(log_probs / np.maximum(lengths, 1)))


def _measure_paths(component: TokenComponent, docs: list[Doc]) -> Floats:
    answer = component.score_tokens(docs)
    path = answer.find_best_paths()
    return measure_paths(path_log_probs(path, answer.scores, answer.lengths, answer.chain), answer.lengths)


def _surprise(probs: Floats) -> Floats:
    """Compute `−p·ln p`, which is 0 where `p` is."""
    surprise: Floats = -probs * np.log(np.maximum(probs, np.finfo(np.float64).tiny))
    return surprise


def _bound(values: Floats) -> Floats:
    """Take off what rounding has put on, the sign of −0 too."""
    bounded: Floats = np.clip(values, 0.0, 1.0) + 0.0
    return bounded
