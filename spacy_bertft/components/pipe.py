"""What every component of ours is, with a head or without: a model, and how it is stored."""

# No `from __future__ import annotations`: spaCy reads signatures at run time.

from collections.abc import Iterable
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import srsly
from spacy import util
from spacy.pipeline import TrainablePipe
from spacy.training import Example
from spacy.vocab import Vocab

from ..errors import UnsupportedError
from ..models.adapter import keep_adapter_apart, read_adapter, write_adapter
from ..output import update_folder_when_done

DEFAULT_ENCODER = {
    "@architectures": "spacy-bertft.BertEncoder.v1",
    "name": "bert-base-uncased",
    "window": None,
    "stride": None,
    "max_pieces": 1024,
    "precision": "auto",
    "backend": "torch",
    "frozen_layers": "none",
    "layer_lr_decay": 1.0,
    "layers": "last",
    "cache_mb": 1024,
    "adapter": None,
}


class BertPipe(TrainablePipe):  # type: ignore[misc]
    """A component with a model.

    Args:
        vocab: The vocabulary of the pipeline.
        model: Its model.
        name: Name of the component in the pipeline.
        settings: The component's own settings; they come from the config, never from a stored pipeline.
    """

    stored: tuple[str, ...] = ()  # what of `cfg` belongs to the weights, and is stored with them

    def __init__(self, vocab: Vocab, model: Any, name: str, **settings: Any) -> None:
        self.vocab = vocab
        self.model = model
        self.name = name
        self.cfg: dict[str, Any] = settings

    def rehearse(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, float]:
        """Raise: there is no rehearsal.

        Raises:
            UnsupportedError: Always.
        """
        raise UnsupportedError(
            f"{self.name} cannot rehearse. To keep what it knows, mix old examples into the new ones."
        )

    # Storage: what belongs to the weights. Settings stay in the config, so that an override in spacy.load() holds.

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Write the component."""
        parts = {
            "cfg": lambda: srsly.json_dumps(self.list_stored()),
            "vocab": lambda: self.vocab.to_bytes(exclude=exclude),
            "model": self.model.to_bytes,
        }
        content: bytes = util.to_bytes(parts, exclude)
        return content

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> "BertPipe":
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
        """Write the component into a folder, which holds all of the old one or all of the new one at any time.

        That is so of each component of ours, also when a whole pipeline is saved over an earlier one. Where something
        else stands in the folder, or a part is excluded, what is there stays, and the files are replaced one by one.
        """
        parts = {
            "cfg": lambda p: srsly.write_json(p, self.list_stored()),
            "vocab": lambda p: self.vocab.to_disk(p, exclude=exclude),
            "model": self._write_model,
            "adapter": lambda p: write_adapter(self.model, p),
        }
        with update_folder_when_done(Path(path)) as folder:
            util.to_disk(folder, parts, exclude)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "BertPipe":
        """Read the component from a folder.

        Raises:
            CheckpointError: The stored model is damaged.
        """
        parts: dict[str, Any] = {
            "cfg": lambda p: self._set_stored(srsly.read_json(p)),
            "vocab": lambda p: self.vocab.from_disk(p, exclude=exclude),
            "model": self._read_model,
            "adapter": lambda p: read_adapter(self.model, p),
        }
        util.from_disk(path, parts, exclude)
        return self

    def _write_model(self, path: Path) -> None:
        with keep_adapter_apart(self.model):
            self.model.to_disk(path)

    def _read_model(self, path: Path) -> None:
        # The file is looked at where the system keeps it; read into memory, it would be there once more.
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            self.model.from_bytes(content)

    def list_stored(self) -> dict[str, Any]:
        """List what is stored beside the weights, as it stands in the file `cfg`."""
        return {key: self.cfg[key] for key in self.stored}

    def _set_stored(self, stored: dict[str, Any]) -> None:
        # What an earlier version did not store yet stays as it is in a new component.
        self.cfg.update({key: stored[key] for key in self.stored if key in stored})
