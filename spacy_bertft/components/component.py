"""What all components share: labels, verbs and storage around a model."""

# No `from __future__ import annotations`: spaCy reads the signature of `initialize` at run time.

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import srsly
from spacy import util
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.training import Example, validate_get_examples
from spacy.vocab import Vocab

from ..checkpoints import CheckpointHead, Task
from ..errors import CheckpointNotFoundError, DataError, SettingError, UnsupportedError
from ..models.adapter import keep_adapter_apart, read_adapter, write_adapter
from ..models.head import find_pretrained_head, load_head
from ..models.shim import has_weights

Scorer = Callable[..., dict[str, Any]]

DEFAULT_ENCODER = {
    "@architectures": "spacy-bertft.BertEncoder.v1",
    "name": "bert-base-uncased",
    "window": None,
    "stride": None,
    "max_pieces": 1024,
    "precision": "auto",
    "frozen_layers": "none",
    "layer_lr_decay": 1.0,
    "layers": "last",
    "cache_mb": 1024,
    "adapter": None,
}


class BertComponent(TrainablePipe):  # type: ignore[misc]
    """A trainable component with labels.

    A subclass says what the outputs of the model are, how gold annotation makes a loss, and how a document is
    annotated.

    Args:
        vocab: The vocabulary of the pipeline.
        model: Its model.
        name: Name of the component in the pipeline.
        scorer: Scores a batch of examples.
        settings: The component's own settings; they come from the config, never from a stored pipeline.
    """

    def __init__(self, vocab: Vocab, model: Any, name: str, *, scorer: Scorer | None, **settings: Any) -> None:
        self.vocab = vocab
        self.model = model
        self.name = name
        self.scorer = scorer
        self.cfg: dict[str, Any] = {"labels": [], **settings}
        self._head: CheckpointHead | None = None

    # What a subclass says.

    stored: tuple[str, ...] = ("labels",)  # what of `cfg` belongs to the weights, and is stored with them
    task: Task

    def _set_outputs(self) -> None:
        """Tell the model its outputs, before it is initialized."""
        raise NotImplementedError

    def _read_labels(self, example: Example) -> Iterable[str]:
        """Read the labels that occur in the gold annotation of an example."""
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
        """Find the labels and load the encoder; where there are no labels, take the head of its checkpoint.

        Args:
            get_examples: Gives examples; without `labels`, all are looked at.
            nlp: The pipeline.
            labels: The labels, as `spacy init labels` wrote them.

        Raises:
            DataError: There are no labels, and the checkpoint has no head.
            CheckpointError: The encoder cannot be loaded, or its head.
        """
        validate_get_examples(get_examples, f"{type(self).__name__}.initialize")
        found = labels if labels is not None else sorted(self._find_labels(get_examples()))
        for label in found:
            self._add_label(label)
        if not self.labels:
            self.take_head(self._find_head())
        self._set_outputs()
        self.model.initialize()
        if self._head is not None:
            load_head(self.model, self._head)
            self._head = None

    def _find_head(self) -> CheckpointHead:
        advice = f"annotated examples, labels from `spacy init labels`, or a checkpoint with a head for {self.task}s"
        try:
            head = find_pretrained_head(self.model, self.task)
        except CheckpointNotFoundError as error:
            raise DataError(f"{self.name} found no labels. Expected {advice}. {error}") from error
        if head is None:
            raise DataError(f"{self.name} found no labels. Expected {advice}.")
        return head

    def take_head(self, head: CheckpointHead) -> None:
        """Take labels from the head of a checkpoint; `initialize` then takes its weights.

        Args:
            head: What `checkpoints.read_head` gives, perhaps with other names for its labels.

        Raises:
            SettingError: The component has labels already, or the head does something else.
        """
        if self.labels:
            raise SettingError("head", head.name, f"a component without labels; {self.name} has {len(self.labels)}")
        if head.task != self.task:
            raise SettingError("head", head.name, f"a head that classifies {self.task}s, not {head.task}s")
        for label in self._read_head_labels(head):
            self._add_label(label)
        self._head = head

    def _read_head_labels(self, head: CheckpointHead) -> Iterable[str]:
        """Read the labels of the component off the outputs of a head."""
        return head.labels

    def _find_labels(self, examples: Iterable[Example]) -> set[str]:
        return {label for example in examples for label in self._read_labels(example)}

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
            "cfg": lambda: srsly.json_dumps(self._list_stored()),
            "vocab": lambda: self.vocab.to_bytes(exclude=exclude),
            "model": self.model.to_bytes,
        }
        content: bytes = util.to_bytes(parts, exclude)
        return content

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> "BertComponent":
        """Read the component.

        Raises:
            CheckpointError: The stored model is damaged.
        """
        parts = {
            "cfg": lambda content: self._set_stored(srsly.json_loads(content)),
            "vocab": lambda content: self.vocab.from_bytes(content, exclude=exclude),
            "model": self.model.from_bytes,
        }
        util.from_bytes(bytes_data, parts, exclude)
        return self

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write the component into a folder."""
        parts = {
            "cfg": lambda p: srsly.write_json(p, self._list_stored()),
            "vocab": lambda p: self.vocab.to_disk(p, exclude=exclude),
            "model": self._write_model,
            "adapter": lambda p: write_adapter(self.model, p),
        }
        util.to_disk(path, parts, exclude)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "BertComponent":
        """Read the component from a folder.

        Raises:
            CheckpointError: The stored model is damaged.
        """
        parts: dict[str, Any] = {
            "cfg": lambda p: self._set_stored(srsly.read_json(p)),
            "vocab": lambda p: self.vocab.from_disk(p, exclude=exclude),
            "model": self.model.from_disk,
            "adapter": lambda p: read_adapter(self.model, p),
        }
        util.from_disk(path, parts, exclude)
        return self

    def _write_model(self, path: Path) -> None:
        with keep_adapter_apart(self.model):
            self.model.to_disk(path)

    def _list_stored(self) -> dict[str, Any]:
        return {key: self.cfg[key] for key in self.stored}

    def _set_stored(self, stored: dict[str, Any]) -> None:
        self.cfg.update({key: stored[key] for key in self.stored})
        for label in self.labels:
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
