"""What the heads minimize. A component passes what the gold annotation allows; a loss and its gradient come back.

The chain is summed in numpy, twice to nine times as fast as in torch. All other losses are torch's own, in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from thinc.compat import torch

from spacy_bertft.tags.chain import chain_loss
from spacy_bertft.tags.forward_backward import LinearChain
from spacy_bertft.tags.grammar import TagGrammar
from spacy_bertft.tags.schemes import TagSpan
from spacy_bertft.tags.wrong_spans import compute_wrong_span_loss

Floats = NDArray[np.float64]


class TokenGradient(NamedTuple):
    """The gradient of the loss of a token head.

    Attributes:
        scores: `(A, L)` with respect to the tag scores.
        chain: With respect to the chain, which may learn or not.
    """

    scores: Floats
    chain: LinearChain

    def add(self, other: TokenGradient, weight: float) -> TokenGradient:
        """Add another gradient, times a weight."""
        chain = LinearChain(*(own + weight * new for own, new in zip(self.chain, other.chain, strict=True)))
        return TokenGradient(self.scores + weight * other.scores, chain)


@dataclass(frozen=True)
class TokenLoss:
    """The loss of a token head: a weighted sum, per token of which something is known.

    Attributes:
        chain: Weight of the negative log-likelihood of the whole sequence.
        token: Weight of the cross-entropy of each token by itself.
        label_smoothing: Share of the target of that cross-entropy that is spread over all tags.
        consistency: Weight of the divergence between two passes, each with its own dropout (R-Drop).
    """

    chain: float
    token: float
    label_smoothing: float
    consistency: float

    def compute(
        self,
        scores: NDArray[np.float32],
        lengths: NDArray[np.intp],
        chain: LinearChain,
        allowed: NDArray[np.bool_],
        grammar: TagGrammar,
        wrong_spans: Sequence[TagSpan] = (),
    ) -> tuple[float, TokenGradient]:
        """Compute the loss and its gradient.

        Args:
            scores: `(A, L)` tag scores; in training with consistency `(2·A, L)`, one pass after the other.
            lengths: `(B,)` or `(2·B,)` rows per document.
            chain: The chain whose likelihood is maximized.
            allowed: `(A, L)` the tags that the gold annotation allows each row.
            grammar: What continues what.
            wrong_spans: Spans that are known to be wrong, in rows of one pass.

        Raises:
            TagError: The gold tags of a sequence allow no path that the chain allows, or a wrong span is in all of
                them.
        """
        n_passes = len(scores) // max(1, len(allowed))
        allowed = np.tile(allowed, (max(1, n_passes), 1))
        loss, by_score, by_chain = chain_loss(scores, lengths, chain, allowed)
        loss, by_score = self.chain * loss, self.chain * by_score
        if self.token or n_passes == 2:
            wide = torch.from_numpy(scores).double().requires_grad_()
            added = self.token * compute_token_loss(wide, torch.from_numpy(allowed), self.label_smoothing)
            if n_passes == 2:
                added = added + self.consistency * compute_divergence(*wide.chunk(2))
            loss += added.item()
            by_score = by_score + torch.autograd.grad(added, wide)[0].numpy()
        is_known: NDArray[np.bool_] = np.logical_not(allowed.all(axis=1))
        if wrong_spans:
            offsets = range(0, len(scores), len(scores) // max(1, n_passes))
            spans = [TagSpan(i + start, i + end, label) for i in offsets for start, end, label in wrong_spans]
            wrong_loss, wrong_scores, wrong_chain = compute_wrong_span_loss(scores, lengths, chain, grammar, spans)
            loss, by_score = loss + wrong_loss, by_score + wrong_scores
            by_chain = LinearChain(*map(np.add, by_chain, wrong_chain))
            for start, end, _ in spans:
                is_known[start:end] = True
        n_known = max(1, int(is_known.sum()))
        gradient = LinearChain(by_chain.start / n_known, by_chain.transitions / n_known, by_chain.end / n_known)
        return loss / n_known, TokenGradient(by_score / n_known, gradient)


def compute_token_loss(scores: torch.Tensor, allowed: torch.Tensor, label_smoothing: float) -> torch.Tensor:
    """Sum the cross-entropy of the tokens of which something is known, each by itself.

    Args:
        scores: `(A, L)` tag scores.
        allowed: `(A, L)` the tags that the gold annotation allows; of several, the probability of any counts.
        label_smoothing: Share of the target that is spread over all tags, where one is allowed.

    Source: Szegedy et al. (2016), section 7, for the smoothing.
    """
    n_allowed = allowed.sum(dim=1)
    is_known = n_allowed == 1
    gold = allowed[is_known].int().argmax(dim=1)
    loss = torch.nn.functional.cross_entropy(scores[is_known], gold, reduction="sum", label_smoothing=label_smoothing)
    is_partial = (n_allowed > 1) & (n_allowed < allowed.shape[1])
    if is_partial.any():
        logs = scores[is_partial].log_softmax(dim=1).masked_fill(~allowed[is_partial], -torch.inf)
        loss = loss - logs.logsumexp(dim=1).sum()
    return loss


def compute_divergence(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Sum the mean of both Kullback-Leibler divergences between two passes, `(A, L)` each, over the tokens.

    Source: Liang et al. (2021), R-Drop, eq. 2.
    """
    logs = first.log_softmax(dim=1), second.log_softmax(dim=1)
    there, back = (
        torch.nn.functional.kl_div(left, right, reduction="sum", log_target=True) for left, right in (logs, logs[::-1])
    )
    return (there + back) / 2


def compute_exclusive_loss(
    scores: NDArray[np.floating], targets: Floats, label_weights: Floats, label_smoothing: float
) -> tuple[float, Floats]:
    """Compute the cross-entropy of exclusive labels, as a mean over documents weighed by their label.

    Args:
        scores: `(B, L)` logits.
        targets: `(B, L)` gold probabilities that sum to 1; all 0 for a document whose label is not known, which
            counts for nothing.
        label_weights: `(L,)` weight of each label.
        label_smoothing: Share of the target that is spread over all labels.

    Returns:
        The loss and its gradient with respect to `scores`, `(B, L)`.
    """
    total = (targets * label_weights).sum()
    if total <= 0:
        return 0.0, np.zeros(scores.shape)
    is_known = torch.from_numpy(targets.sum(axis=1) > 0)
    wide = torch.from_numpy(scores).double().requires_grad_()
    loss = torch.nn.functional.cross_entropy(
        wide[is_known],
        torch.from_numpy(targets)[is_known],
        torch.from_numpy(label_weights),
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    return _differentiate(loss / total, wide)


def compute_multilabel_loss(
    scores: NDArray[np.floating], targets: Floats, is_known: NDArray[np.bool_], label_weights: Floats, smoothing: float
) -> tuple[float, Floats]:
    """Compute the binary cross-entropy of labels that may hold together, as a mean over all that are known.

    Args:
        scores: `(B, L)` logits.
        targets: `(B, L)` gold probabilities, each from 0 to 1.
        is_known: `(B, L)` which of them are known; the others count for nothing.
        label_weights: `(L,)` weight of each label where it holds, against 1 where it does not.
        smoothing: Share of each target that is moved to one half.

    Returns:
        The loss and its gradient with respect to `scores`, `(B, L)`.
    """
    wide = torch.from_numpy(scores).double().requires_grad_()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        wide,
        torch.from_numpy(targets * (1 - smoothing) + smoothing / 2),
        torch.from_numpy(is_known).double(),
        reduction="sum",
        pos_weight=torch.from_numpy(label_weights),
    )
    return _differentiate(loss / max(1, int(is_known.sum())), wide)


def compute_squared_loss(
    scores: NDArray[np.floating], targets: Floats, is_known: NDArray[np.bool_]
) -> tuple[float, Floats]:
    """Compute the mean squared error of numbers, over all that are known.

    Args:
        scores: `(B, L)` predicted numbers.
        targets: `(B, L)` gold numbers.
        is_known: `(B, L)` which of them are known; the others count for nothing.

    Returns:
        The loss and its gradient with respect to `scores`, `(B, L)`.
    """
    wide = torch.from_numpy(scores).double().requires_grad_()
    known = torch.from_numpy(is_known)
    loss = torch.nn.functional.mse_loss(wide[known], torch.from_numpy(targets)[known], reduction="sum")
    return _differentiate(loss / max(1, int(is_known.sum())), wide)


def merge_targets(tutor: Floats, gold: Floats, is_gold: NDArray[np.bool_], *, exclusive: bool) -> Floats:
    """Take targets from gold annotation where it says something, and from another head where it does not.

    Args:
        tutor: `(B, L)` probabilities that the other head gives.
        gold: `(B, L)` gold values, 0 where there are none.
        is_gold: `(B, L)` where there are some.
        exclusive: Whether labels exclude each other. What gold annotation leaves is then for the labels of which it
            says nothing, in the proportions that they had.

    Example:
        >>> tutor, gold = np.array([[0.6, 0.3, 0.1]]), np.zeros((1, 3))
        >>> merge_targets(tutor, gold, np.array([[False, False, True]]), exclusive=True).round(2).tolist()
        [[0.67, 0.33, 0.0]]
    """
    if not exclusive:
        return np.where(is_gold, gold, tutor)
    others = np.where(is_gold, 0.0, tutor)
    return gold + (1 - gold.sum(axis=1, keepdims=True)) * others / np.maximum(others.sum(axis=1, keepdims=True), 1e-12)


def invert_probs(probs: Floats, *, exclusive: bool) -> Floats:
    """Find logits that give these probabilities, by a softmax or each by a sigmoid; those of 0 and 1 are large."""
    kept = np.clip(probs, 1e-12, 1 - 1e-12)
    return np.log(kept) if exclusive else np.log(kept) - np.log1p(-kept)


def subtract_entropy(
    compute: Callable[[NDArray[np.floating]], tuple[float, Floats]],
    scores: NDArray[np.floating],
    probs: Floats,
    *,
    exclusive: bool,
) -> tuple[float, Floats]:
    """Compute a loss and its gradient, shifted so that it is 0 where the targets are predicted.

    Args:
        compute: Computes it, by scores.
        scores: `(B, L)` logits.
        probs: `(B, L)` the targets.
        exclusive: Whether labels exclude each other.
    """
    (loss, gradient), (entropy, _) = (compute(each) for each in (scores, invert_probs(probs, exclusive=exclusive)))
    return loss - entropy, gradient


def _differentiate(loss: torch.Tensor, scores: torch.Tensor) -> tuple[float, Floats]:
    return loss.item(), torch.autograd.grad(loss, scores)[0].numpy()
