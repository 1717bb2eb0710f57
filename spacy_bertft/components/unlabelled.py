"""What `bert_qa` and `bert_multiple_choice` share: they have no labels, since each text has its own answers."""

from collections.abc import Iterable, Sequence
from typing import Any

from spacy.training import Example

from spacy_bertft.checkpoints import CheckpointHead
from spacy_bertft.checkpoints.heads import OUTPUTS
from spacy_bertft.components.component import BertComponent
from spacy_bertft.errors import UnsupportedError


class UnlabelledComponent(BertComponent):
    """A component without labels."""

    label_data: Any = None

    @property
    def outputs(self) -> Sequence[str]:
        """The outputs of the head, in order."""
        return OUTPUTS[self.task]

    def _read_labels(self, example: Example) -> Iterable[str]:
        return ()

    def _add_label(self, label: str) -> int:
        raise UnsupportedError(f"{self.name} has no labels: each text has its own answers.")

    def _read_head_labels(self, head: CheckpointHead) -> Iterable[str]:
        return ()

    def _has_labels_of_model(self) -> bool:
        return True
