"""`spacy-bertft.SpanClassifier.v1`: documents → a score for every label of every candidate span, which may overlap."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray
from spacy.pipeline.spancat import Suggester, build_ngram_range_suggester
from spacy.tokens import Doc
from thinc.api import NumpyOps

from spacy_bertft.errors import SettingError, check_setting
from spacy_bertft.models.encoder.build import Encoder
from spacy_bertft.models.encoder.states import EncodedDocs
from spacy_bertft.models.heads.head import LabelModel
from spacy_bertft.models.heads.losses import Floats, compute_multilabel_loss


@dataclass(frozen=True)
class SpanScores:
    """The scores of the candidates of a batch of documents.

    Attributes:
        scores: `(N, L)` float32 logits.
        spans: `(N, 2)` first token of each candidate in its document, and one past its last token.
        lengths: `(B,)` candidates per document.
        n_tokens: How many tokens with a subword token the documents have.
    """

    scores: NDArray[np.float32]
    spans: NDArray[np.intp]
    lengths: NDArray[np.intp]
    n_tokens: int

    def compute_loss(self, targets: Floats, is_known: NDArray[np.bool_]) -> tuple[float, Floats]:
        """Compute the binary cross-entropy of all candidates, per token of the documents, and its gradient, `(N, L)`.

        Args:
            targets: `(N, L)` gold probabilities.
            is_known: `(N, L)` which of them are known.
        """
        weights = np.ones(self.scores.shape[1])
        loss, gradient = compute_multilabel_loss(self.scores, targets, is_known, weights, 0.0)
        # A mean over candidates would be small next to the losses of other heads that share the encoder.
        share = max(1, int(is_known.sum())) / max(1, self.n_tokens)
        return loss * share, gradient * share


class SpanModel(LabelModel[SpanScores]):
    """`spacy-bertft.SpanClassifier.v1`: a hidden layer over the first, the last and the mean state of a span.

    Args:
        encoder: The encoder of the hidden states.
        hidden_width: Width of the hidden layer.
        dropout: Rate of dropout on the states and the hidden layer; by default that of `[training]`.
        head_lr_scale: Factor on the learning rate of the head.

    Attributes:
        suggester: Lists the candidates: the component sets it.

    Raises:
        SettingError: A setting is outside what is allowed.

    Source: Zhong & Chen (2021), section 3.2, with the mean of Lee et al. (2017) instead of attention.
    """

    title = "span_classifier"
    vector = "tokens"

    def __init__(
        self,
        encoder: Encoder,
        hidden_width: int = 128,
        dropout: Optional[float] = None,  # noqa: UP045 (confection reads this at run time)
        head_lr_scale: float = 1.0,
    ) -> None:
        check_setting("hidden_width", hidden_width, hidden_width > 0, "a positive number")
        super().__init__(encoder, dropout, head_lr_scale, _build_head, n_labels=0)
        self.hidden_width = hidden_width
        self.suggester: Suggester = build_ngram_range_suggester(1, 3)

    def describe_layers(self) -> dict[str, Any]:
        """Describe the layers; see `HeadModel`."""
        return {"hidden_width": self.hidden_width, self.size: self.n_labels}

    def score(self, docs: list[Doc], is_train: bool) -> tuple[SpanScores, Callable[[Floats], list[Doc]]]:
        """Score the labels of the candidates; see `HeadModel`.

        Raises:
            SettingError: The suggester gives something else than spans of the documents.
        """
        head = self.module
        spans, owner = self._suggest(docs)
        encoded, backprop_encoder = self.encode(docs, is_train)
        rows = _find_rows(spans, owner, docs, encoded)
        is_usable = (rows >= 0).all(axis=1)
        scores, backprop = self.run_layers(
            encoded, backprop_encoder, is_train, lambda states, rate: head(states, rows[is_usable], rate)
        )
        lengths = np.bincount(owner[is_usable], minlength=len(docs))
        return SpanScores(scores, spans[is_usable], lengths, len(encoded.vectors["tokens"])), backprop

    def _suggest(self, docs: list[Doc]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """List the candidates, `(N, 2)`, in the tokens of their document, and the document of each, `(N,)`."""
        suggested = self.suggester(docs, ops=NumpyOps())
        spans = np.asarray(suggested.dataXd).reshape(-1, 2).astype(np.intp)
        owner = np.repeat(np.arange(len(docs)), np.asarray(suggested.lengths, dtype=np.intp))
        n_tokens = np.array([len(doc) for doc in docs], dtype=np.intp)[owner]
        if not ((spans[:, 0] >= 0) & (spans[:, 0] < spans[:, 1]) & (spans[:, 1] <= n_tokens)).all():
            raise SettingError("suggester", self.suggester, "one that gives ranges of the tokens of each document")
        return spans, owner


build_span_classifier = SpanModel  # the name of the architecture


def _find_rows(
    spans: NDArray[np.intp], owner: NDArray[np.intp], docs: list[Doc], encoded: EncodedDocs
) -> NDArray[np.intp]:
    """Find the first and the last row of each span, `(N, 2)`; −1 where no row begins or ends with it.

    That is so where the first or last token has no subword token, or shares it with a token outside.
    """
    lengths = np.array([len(doc) for doc in docs], dtype=np.intp)
    by_token = np.full((2, int(lengths.sum()) + 1), -1)
    by_token[0, encoded.token_index] = by_token[1, encoded.token_end] = np.arange(len(encoded.token_index))
    first, end = (spans + (np.cumsum(lengths) - lengths)[owner][:, None]).T
    return np.stack([by_token[0, first], by_token[1, end]], axis=1)


def _build_head(spec: dict[str, Any]) -> Any:
    from spacy_bertft.models.heads.layers import SpanHead  # which needs torch

    return SpanHead(**spec)
