"""What `bert_ner` and `bert_tagger` share: labels, verbs and storage around a token classifier."""

# No `from __future__ import annotations`: spaCy reads the signature of `initialize` at run time.

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import srsly
from numpy.typing import NDArray
from spacy import util
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab

from ..errors import DataError, SettingError, UnsupportedError
from ..models.token_classifier import TokenModel, TokenScores, has_weights, set_tags
from ..tags import ChainGradient, Scheme, chain_loss, token_loss

Scorer = Callable[..., dict[str, Any]]

DEFAULT_MODEL = {
    "@architectures": "spacy-bertft.TokenClassifier.v1",
    "decoder": "crf",
    "dropout": None,
    "head_lr_scale": 1.0,
    "token_loss": 0.0,
    "label_smoothing": 0.0,
    "encoder": {
        "@architectures": "spacy-bertft.BertEncoder.v1",
        "name": "bert-base-uncased",
        "window": None,
        "stride": None,
        "max_pieces": 1024,
        "precision": "auto",
        "frozen_layers": "none",
        "layer_lr_decay": 1.0,
    },
}


class TokenComponent(TrainablePipe):  # type: ignore[misc]
    """A trainable component that gives every token a tag.

    A subclass says what the tags are, how gold annotation allows them, and how a document is annotated.

    Args:
        vocab: The vocabulary of the pipeline.
        model: A token classifier.
        name: Name of the component in the pipeline.
        scorer: Scores a batch of examples.
        settings: The component's own settings; they come from the config, never from a stored pipeline.
    """

    def __init__(self, vocab: Vocab, model: TokenModel, name: str, *, scorer: Scorer | None, **settings: Any) -> None:
        self.vocab = vocab
        self.model = model
        self.name = name
        self.scorer = scorer
        self.cfg: dict[str, Any] = {"labels": [], **settings}

    # What a subclass says.

    scheme: Scheme | None = None

    def _list_tags(self) -> list[str]:
        """List the outputs of the model, in order."""
        raise NotImplementedError

    def _read_labels(self, example: Example) -> Iterable[str]:
        """Read the labels that occur in the gold annotation of an example."""
        raise NotImplementedError

    def _allow(self, example: Example, answered: NDArray[np.intp], allowed: NDArray[np.bool_]) -> None:
        """Write which tags the gold annotation allows.

        Args:
            example: An example.
            answered: `(A,)` the tokens of its predicted document that the model has scores for.
            allowed: `(A, L)` all true; to be narrowed in place.
        """
        raise NotImplementedError

    # spaCy's verbs, in spaCy's order.

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the component can give."""
        return tuple(self.cfg["labels"])

    @property
    def label_data(self) -> tuple[str, ...]:
        """The same, as `spacy init labels` writes it."""
        return self.labels

    def add_label(self, label: str) -> int:
        """Add a label, before the model is initialized.

        Returns:
            1, or 0 if it was there already.

        Raises:
            SettingError: It is no label.
            UnsupportedError: The model has its outputs already.
        """
        if label not in self.labels and has_weights(self.model):
            raise UnsupportedError(
                f"{self.name} is initialized with {len(self.labels)} labels; '{label}' cannot be added. "
                "Add labels before nlp.initialize(), or initialize again with data that has them."
            )
        return self._add_label(label)

    def _add_label(self, label: str) -> int:
        if not isinstance(label, str) or not label:
            raise SettingError(f"{self.name}: label", label, "a string that is not empty")
        if label in self.labels:
            return 0
        self.cfg["labels"].append(label)
        self.vocab.strings.add(label)
        return 1

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        """Find the labels and load the encoder.

        Args:
            get_examples: Gives examples; without `labels`, all are looked at.
            nlp: The pipeline.
            labels: The labels, as `spacy init labels` wrote them.

        Raises:
            DataError: There are no labels.
            CheckpointError: The encoder cannot be loaded.
        """
        validate_get_examples(get_examples, f"{type(self).__name__}.initialize")
        found = labels if labels is not None else sorted(self._find_labels(get_examples()))
        for label in found:
            self._add_label(label)
        if not self.labels:
            raise DataError(
                f"{self.name} found no labels. Expected annotated examples, or labels from `spacy init labels`."
            )
        set_tags(self.model, self._list_tags(), self.scheme)
        self.model.initialize()

    def _find_labels(self, examples: Iterable[Example]) -> set[str]:
        return {label for example in examples for label in self._read_labels(example)}

    def get_loss(self, examples: Iterable[Example], scores: TokenScores) -> tuple[float, ChainGradient]:
        """Compute the loss of a batch, per token, and its gradient.

        Raises:
            DataError: The examples hold a label that the component does not have.
        """
        examples = list(examples)
        validate_examples(examples, f"{type(self).__name__}.get_loss")
        allowed = np.ones(scores.scores.shape, dtype=np.bool_)
        row, first_token = 0, 0
        for example, length in zip(examples, scores.lengths.tolist(), strict=True):
            rows = slice(row, row + length)
            self._allow(example, scores.token_index[rows] - first_token, allowed[rows])
            row, first_token = rows.stop, first_token + len(example.predicted)
        loss, gradient = chain_loss(scores.scores, scores.lengths, scores.training_chain, allowed)
        loss_by_token, gradient_by_token = token_loss(scores.scores, allowed, scores.label_smoothing)
        n_known = max(1, int((~allowed.all(axis=1)).sum()))
        scaled = ChainGradient(
            scores=(gradient.scores + scores.token_loss * gradient_by_token) / n_known,
            start=gradient.start / n_known,
            transitions=gradient.transitions / n_known,
            end=gradient.end / n_known,
        )
        return (loss + scores.token_loss * loss_by_token) / n_known, scaled

    def predict(self, docs: Iterable[Doc]) -> Any:
        """Predict for a batch, without touching the documents."""
        docs = list(docs)
        return self._decode(docs, self.model.predict(docs))

    def _decode(self, docs: list[Doc], scores: TokenScores) -> Any:
        raise NotImplementedError

    def rehearse(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, float]:
        """Raise: there is no rehearsal.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError(
            f"{self.name} cannot rehearse. To keep what it knows, mix old examples into the new ones."
        )

    # Storage: labels and weights. Settings stay in the config, so that an override in spacy.load() holds.

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Write the component."""
        parts = {
            "cfg": lambda: srsly.json_dumps({"labels": list(self.labels)}),
            "vocab": lambda: self.vocab.to_bytes(exclude=exclude),
            "model": self.model.to_bytes,
        }
        content: bytes = util.to_bytes(parts, exclude)
        return content

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> "TokenComponent":
        """Read the component.

        Raises:
            CheckpointError: The stored model is damaged.
        """
        parts = {
            "cfg": lambda content: self._set_labels(srsly.json_loads(content)),
            "vocab": lambda content: self.vocab.from_bytes(content, exclude=exclude),
            "model": self.model.from_bytes,
        }
        util.from_bytes(bytes_data, parts, exclude)
        return self

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write the component into a folder."""
        parts = {
            "cfg": lambda p: srsly.write_json(p, {"labels": list(self.labels)}),
            "vocab": lambda p: self.vocab.to_disk(p, exclude=exclude),
            "model": self.model.to_disk,
        }
        util.to_disk(path, parts, exclude)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "TokenComponent":
        """Read the component from a folder.

        Raises:
            CheckpointError: The stored model is damaged.
        """
        parts: dict[str, Any] = {
            "cfg": lambda p: self._set_labels(srsly.read_json(p)),
            "vocab": lambda p: self.vocab.from_disk(p, exclude=exclude),
            "model": self.model.from_disk,
        }
        util.from_disk(path, parts, exclude)
        return self

    def _set_labels(self, stored: dict[str, Any]) -> None:
        self.cfg["labels"] = list(stored["labels"])
        for label in self.cfg["labels"]:
            self.vocab.strings.add(label)


def check_known(name: str, label: str, labels: Iterable[str]) -> None:
    """Raise unless a gold label is one that the component can give.

    Raises:
        DataError: It is not.
    """
    if label not in labels:
        raise DataError(
            f"{name}: the examples hold the label '{label}', which it does not have. Expected one of "
            f"{', '.join(labels)}; initialize with examples of every label, or with labels from `spacy init labels`."
        )
