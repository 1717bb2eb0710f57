"""`spacy-bertft.TextClassifier.v1`: documents → a score for every label; `MultipleChoice.v1`: for every ending."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Optional, get_args

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.compat import torch

from spacy_bertft.checkpoints import Task
from spacy_bertft.checkpoints.heads import Pooling
from spacy_bertft.data.choices import parse_choice
from spacy_bertft.models.encoder.build import Encoder
from spacy_bertft.models.encoder.states import CHOICES, EncodedDocs, Output
from spacy_bertft.models.heads.head import DENSE, LabelModel

_VECTORS: dict[Pooling, Output] = {"cls": "first", "first": "first", "mean": "mean", "max": "max", "mean_dense": "mean"}
_NO_CHOICE = -1e9  # the score of a position that a document does not have
WindowScores = Literal["mean", "max", "first"]
Scores = NDArray[np.float32]
Spread = Callable[[Scores], Scores]  # a gradient by document → one by window


class TextModel(LabelModel[NDArray[np.float32]]):
    """`spacy-bertft.TextClassifier.v1`: a linear layer over one vector of each window. Its scores are logits, `(B, L)`.

    Args:
        encoder: The encoder of the hidden states.
        pooling: The vector of a window: `"cls"` is the hidden state of its first subword token after a dense layer and
            the activation of the encoder's family (tanh for BERT), initialized from the checkpoint's own pooler where
            it has one, as in `BertForSequenceClassification`; `"first"` is that hidden state itself; `"mean"` and
            `"max"` are taken over all its subword tokens; `"mean_dense"` is the mean after such a dense layer.
        windows: How the scores of the windows of a long text are combined: their `"mean"`, weighed by length, their
            `"max"`, or those of the `"first"` window.
        dropout: Rate of dropout on the vector; by default that of `[training]`.
        head_lr_scale: Factor on the learning rate of the head.

    Attributes:
        vector: What the encoder is asked for: the pooler of BERT starts from the first subword token.

    Raises:
        SettingError: A setting is outside what is allowed.
    """

    title = "text_classifier"
    task: Task = "text"
    vectors: Mapping[Pooling, Output] = _VECTORS

    def __init__(
        self,
        encoder: Encoder,
        pooling: Pooling = "cls",
        windows: WindowScores = "mean",
        dropout: Optional[float] = None,  # noqa: UP045 (confection reads this at run time)
        head_lr_scale: float = 1.0,
    ) -> None:
        parse_choice("windows", windows, get_args(WindowScores))
        self.vector = self.vectors[parse_choice("pooling", pooling, get_args(Pooling))]
        super().__init__(encoder, dropout, head_lr_scale, n_labels=0)
        self.pooling = pooling
        self.windows = windows

    def rescale(self, factors: NDArray[np.float64], shifts: NDArray[np.float64]) -> None:
        """Change the weights of the head so that each score is multiplied by a factor and shifted, `(L,)` each."""
        linear = self.module.linear
        factor, shift = (linear.bias.new_tensor(each) for each in (factors, shifts))
        with torch.no_grad():
            linear.weight.mul_(factor[:, None])
            linear.bias.mul_(factor).add_(shift)
        self.shim.mark_changed()

    def describe_layers(self) -> dict[str, Any]:
        """Describe the layers, with or without a dense one; see `HeadModel`."""
        return super().describe_layers() | {"has_pooler": self.pooling in DENSE}

    def build_head(self, X: Any = None, Y: Any = None) -> None:
        """Build the head and load the encoder, whose pooler it begins with; see `HeadModel`."""
        super().build_head(X, Y)
        source, own = self.find_source(), self.module.pooler
        pooler = source.module.pooler if source else None
        if own is not None and pooler is not None and pooler.weight.shape == own.weight.shape:
            own.load_state_dict(pooler.state_dict())

    def score(
        self, docs: list[Doc], is_train: bool
    ) -> tuple[NDArray[np.float32], Callable[[NDArray[np.float32]], list[Doc]]]:
        """Score the labels of documents; see `HeadModel`."""
        encoded, backprop_encoder = self.encode(docs, is_train)
        by_window, backprop = self.run_layers(encoded, backprop_encoder, is_train, self.module)
        scores, spread = self.combine(by_window, encoded, len(docs))
        return scores, lambda gradient: backprop(spread(gradient))

    def combine(self, scores: Scores, encoded: EncodedDocs, n_docs: int) -> tuple[Scores, Spread]:
        """Combine the scores of windows, `(W, L)`, to those of documents, `(B, L)`; count what was cut."""
        self.n_truncated += int((encoded.n_lost > 0).sum())
        return combine_windows(scores, encoded.window_doc, encoded.window_lengths, n_docs, self.windows)


class ChoiceModel(TextModel):
    """`spacy-bertft.MultipleChoice.v1`: a linear layer over one vector of a prompt with each of its endings.

    Its scores are logits, `(B, N)`, of as many positions as the document with the most endings has; those that a
    document does not have are very low.

    Args:
        encoder: The encoder of the hidden states.
        pooling: The vector of a prompt with an ending, as in `spacy-bertft.TextClassifier.v1`.
        dropout: Rate of dropout on the vector; by default that of `[training]`.
        head_lr_scale: Factor on the learning rate of the head.

    Raises:
        SettingError: A setting is outside what is allowed.
    """

    task = "choice"
    title = "multiple_choice"
    vectors: Mapping[Pooling, Output] = {
        pooling: output for pooling, wanted in _VECTORS.items() for output, each in CHOICES.items() if each == wanted
    }

    def __init__(
        self,
        encoder: Encoder,
        pooling: Pooling = "cls",
        dropout: Optional[float] = None,  # noqa: UP045
        head_lr_scale: float = 1.0,
    ) -> None:
        super().__init__(encoder, pooling, "mean", dropout, head_lr_scale)
        self.n_labels = 1

    def combine(self, scores: Scores, encoded: EncodedDocs, n_docs: int) -> tuple[Scores, Spread]:
        """Give each document a row with the scores of its endings, `(C, 1)` → `(B, N)`; count what was cut."""
        lengths, n_cut = encoded.choices.T
        self.n_truncated += int(n_cut.sum())
        is_ending = np.arange(lengths.max(initial=0)) < lengths[:, None]  # (B, N)
        by_doc = np.full(is_ending.shape, _NO_CHOICE, dtype=scores.dtype)
        by_doc[is_ending] = scores[:, 0]
        return by_doc, lambda gradient: gradient[is_ending][:, None]


build_text_classifier = TextModel  # the names of the architectures
build_multiple_choice = ChoiceModel


def softmax(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn scores of exclusive labels into probabilities, `(B, L)` → `(B, L)`."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True, initial=-np.inf), dtype=np.float64)
    return shifted / shifted.sum(axis=1, keepdims=True)


def sigmoid(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn scores of labels that may hold together into probabilities, `(B, L)` → `(B, L)`."""
    return np.exp(-np.logaddexp(0.0, -scores, dtype=np.float64))


def combine_windows(
    scores: Scores, doc: NDArray[np.intp], lengths: NDArray[np.intp], n_docs: int, how: WindowScores
) -> tuple[Scores, Spread]:
    """Combine the scores of windows to those of documents.

    Args:
        scores: `(W, L)` scores of the windows.
        doc: `(W,)` the document of each window, in order; every document has at least one.
        lengths: `(W,)` pieces of each window.
        n_docs: How many documents there are.
        how: Mean weighed by length, maximum, or first window.

    Returns:
        `(B, L)`, and what turns a gradient with respect to them into one of the scores of windows.
    """
    if len(doc) == n_docs:
        return scores, lambda gradient: gradient
    first = np.searchsorted(doc, np.arange(n_docs))
    if how == "mean":
        share: NDArray[Any] = (lengths / np.bincount(doc, lengths)[doc])[:, None]  # (W, 1)
    elif how == "max":
        is_best = scores == np.maximum.reduceat(scores, first)[doc]
        share = is_best / np.add.reduceat(is_best, first, dtype=np.intp)[doc]  # (W, L)
    else:
        share = np.isin(np.arange(len(doc)), first)[:, None]
    share = share.astype(scores.dtype)
    return np.add.reduceat(scores * share, first), lambda gradient: gradient[doc] * share
