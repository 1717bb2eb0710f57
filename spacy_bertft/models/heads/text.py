"""`spacy-bertft.TextClassifier.v1`: documents → a score for every label; `MultipleChoice.v1`: for every ending."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Optional, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from spacy.tokens import Doc

from spacy_bertft.checkpoints import Task
from spacy_bertft.checkpoints.heads import Pooling
from spacy_bertft.data.choices import parse_choice
from spacy_bertft.models.encoder.build import Encoder
from spacy_bertft.models.encoder.states import CHOICES, EncodedDocs, Output
from spacy_bertft.models.heads.head import DENSE, LabelModel

_VECTORS: dict[Pooling, Output] = {"cls": "first", "first": "first", "mean": "mean", "max": "max", "mean_dense": "mean"}
_NO_CHOICE = -1e9  # the score of a position that a document does not have
WindowScores = Literal["mean", "max", "first"]


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
        linear: torch.nn.Linear = self.module.linear
        factor, shift = (torch.from_numpy(each).to(linear.bias) for each in (factors, shifts))
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
        head = self.module
        encoded, backprop = self.encode(docs, is_train)

        def compute(states: torch.Tensor, dropout_rate: float) -> torch.Tensor:
            return self.combine(head(states, dropout_rate), encoded, len(docs))

        return self.run_layers(encoded, backprop, is_train, compute)

    def combine(self, scores: torch.Tensor, encoded: EncodedDocs, n_docs: int) -> torch.Tensor:
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

    def combine(self, scores: torch.Tensor, encoded: EncodedDocs, n_docs: int) -> torch.Tensor:
        """Give each document a row with the scores of its endings, `(C, 1)` → `(B, N)`; count what was cut."""
        lengths, n_cut = encoded.choices.T
        self.n_truncated += int(n_cut.sum())
        is_ending = torch.from_numpy(np.arange(lengths.max(initial=0)) < lengths[:, None]).to(scores.device)  # (B, N)
        return scores.new_full(is_ending.shape, _NO_CHOICE).masked_scatter(is_ending, scores)


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
    scores: torch.Tensor, doc: NDArray[np.intp], lengths: NDArray[np.intp], n_docs: int, how: WindowScores
) -> torch.Tensor:
    """Combine the scores of windows to those of documents.

    Args:
        scores: `(W, L)` scores of the windows.
        doc: `(W,)` the document of each window, in order; every document has at least one.
        lengths: `(W,)` pieces of each window.
        n_docs: How many documents there are.
        how: Mean weighed by length, maximum, or first window.

    Returns:
        `(B, L)`.
    """
    if len(doc) == n_docs:
        return scores
    if how == "first":
        return scores[torch.from_numpy(np.searchsorted(doc, np.arange(n_docs))).to(scores.device)]
    if how == "max":
        by_doc = torch.split(scores, np.bincount(doc, minlength=n_docs).tolist())
        return torch.stack([each.amax(dim=0) for each in by_doc])
    combined = scores.new_zeros((n_docs, scores.shape[1]))
    share = lengths / np.bincount(doc, lengths, minlength=n_docs)[doc]
    index = torch.from_numpy(doc).to(scores.device)
    return combined.index_add(0, index, scores * torch.from_numpy(share).to(scores)[:, None])
