"""What every component of ours is, with a head or without: a model, and how it is stored."""

# No `from __future__ import annotations`: spaCy reads signatures at run time.

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import srsly
from spacy import util
from spacy.pipeline import TrainablePipe
from spacy.vocab import Vocab

from spacy_bertft.errors import CheckpointError, SettingError, check_file, name_source, parse_message
from spacy_bertft.models.encoder.build import Encoder
from spacy_bertft.models.encoder.listener import SharedEncoder
from spacy_bertft.models.encoder.trainable import keep_adapter_apart, read_adapter, write_adapter
from spacy_bertft.models.heads.head import HeadModel, find_own_encoder
from spacy_bertft.models.store.serialization import keep_on_error, read_model
from spacy_bertft.output import update_folder_when_done

Reader = Callable[[Any], Any]

_ADVICE = "Take another copy, or store the pipeline again."


class BertPipe(TrainablePipe):  # type: ignore[misc]
    """A component with a model.

    Args:
        vocab: The vocabulary of the pipeline.
        model: Its model.
        name: Name of the component in the pipeline.
        settings: The component's own settings; they come from the config, never from a stored pipeline.

    Raises:
        SettingError: The model is not of the architecture that the component needs.
    """

    model_type: type[Any] = HeadModel
    architecture: str  # what makes such a model
    stored: tuple[str, ...] = ()  # what of `cfg` belongs to the weights, and is stored with them

    def __init__(self, vocab: Vocab, model: Any, name: str, **settings: Any) -> None:
        if not isinstance(model, self.model_type):
            kind = getattr(model, "name", type(model).__name__)
            raise SettingError("model", kind, f"a model of {self.architecture} in [components.{name}.model]")
        self.vocab = vocab
        self.model = model
        self.name = name
        self.cfg: dict[str, Any] = settings
        self.has_warned = False

    @property
    def encoder(self) -> Encoder:
        """The encoder of the component, or the layer that listens to the one of another component."""
        return self.model.encoder if isinstance(self.model, HeadModel) else self.model

    def _set_name(self, name: str) -> None:
        # spaCy sets the name of each component again before it links them. It does not say which are gone.
        TrainablePipe.name.__set__(self, name)
        if isinstance(self.encoder, SharedEncoder):
            self.encoder.prepare_link(name)

    name = property(TrainablePipe.name.__get__, _set_name, doc="The name of the component in the pipeline.")

    # Storage: what belongs to the weights. Settings stay in the config, so that an override in spacy.load() holds.

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Write the component.

        Raises:
            MissingEncoderError: It shares an encoder that is not in the pipeline.
        """
        self._prepare_to_store()
        parts = {
            "cfg": lambda: srsly.json_dumps(self.list_stored()),
            "vocab": lambda: self.vocab.to_bytes(exclude=exclude),
            "model": self.model.to_bytes,
        }
        return util.to_bytes(parts, exclude)

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> "BertPipe":
        """Read the component. After an error it is what it was before.

        Raises:
            CheckpointError: The bytes are damaged, or of another component.
        """
        readers: dict[str, Reader] = {
            "cfg": lambda content: self._set_stored(srsly.json_loads(content)),
            "model": lambda content: read_model(self.model, content),
            "vocab": lambda content: self._read_vocab("from_bytes", content, exclude),
        }
        with self._name_part("its bytes"):
            stored = parse_message(bytes_data)
            if not stored.keys() <= readers.keys():
                raise CheckpointError(f"There is {', '.join(stored)}. Expected {', '.join(readers)}. {_ADVICE}")
        self._read_parts(readers, {part: (f"'{part}' in its bytes", stored[part]) for part in stored}, exclude)
        return self

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Write the component into a folder, which holds all of the old one or all of the new one at any time.

        That is so of each component of ours, also when a whole pipeline is saved over an earlier one. Where something
        else is in the folder, or a part is excluded, what is there stays, and the files are replaced one by one.

        Raises:
            MissingEncoderError: It shares an encoder that is not in the pipeline.
        """
        self._prepare_to_store()
        own = find_own_encoder(self.model)
        parts: dict[str, Callable[[Path], Any]] = {
            "cfg": lambda p: srsly.write_json(p, self.list_stored()),
            "vocab": lambda p: self.vocab.to_disk(p, exclude=exclude),
            "model": self.model.to_disk,
        }
        if own:
            parts["adapter"] = partial(write_adapter, own.shim)
        with keep_adapter_apart(own.shim if own else None), update_folder_when_done(Path(path)) as folder:
            util.to_disk(folder, parts, exclude)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "BertPipe":
        """Read the component from a folder. After an error it is what it was before.

        Raises:
            CheckpointError: A file is missing or damaged, or of another component.
        """
        own = find_own_encoder(self.model)
        readers: dict[str, Reader] = {
            "cfg": self._read_cfg,
            "model": self._read_model,
            "vocab": lambda p: self._read_vocab("from_disk", p, exclude),
        }
        if own:
            readers["adapter"] = partial(read_adapter, own.shim)
        self._read_parts(readers, {part: (str(each := Path(path, part)), each) for part in readers}, exclude)
        return self

    def _prepare_to_store(self) -> None:
        self.encoder.check_link()

    def _read_cfg(self, path: Path) -> None:
        check_file(path)
        self._set_stored(srsly.read_json(path))

    def _read_model(self, path: Path) -> None:
        check_file(path)
        # The file is looked at where the system keeps it; read into memory, it would be there once more.
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            read_model(self.model, content)

    def _read_vocab(self, read: str, source: Any, exclude: Iterable[str]) -> None:
        getattr(Vocab(), read)(source, exclude=exclude)  # raises before anything of the present one is lost
        getattr(self.vocab, read)(source, exclude=exclude)

    @contextmanager
    def _roll_back_on_error(self) -> Iterator[None]:
        """Change the component, and go back to all that was there if that fails."""
        cfg, attributes = copy.deepcopy(self.cfg), self.__dict__.copy()
        try:
            with keep_on_error(self.model):
                yield
        except BaseException:
            for present, before in ((self.cfg, cfg), (self.__dict__, attributes)):
                present.clear()
                present.update(before)
            raise

    def _read_parts(
        self,
        readers: Mapping[str, Reader],
        sources: Mapping[str, tuple[str, Any]],
        exclude: Iterable[str],
    ) -> None:
        """Read parts, see whether they fit each other, and go back to what was there if they cannot be read.

        Args:
            readers: What reads each part, in order.
            sources: Of each that was stored, what an error calls it, and what its reader gets.
            exclude: Those to leave out.
        """
        with self._roll_back_on_error():
            for part, read in readers.items():
                if part in sources and part not in exclude:
                    where, source = sources[part]
                    with self._name_part(where):
                        read(source)
            if not {"cfg", "model"} & set(exclude):
                with self._name_part("what was stored"):
                    self._check_stored()

    def _name_part(self, where: str) -> AbstractContextManager[None]:
        return name_source(f"{self.name}: {where}", _ADVICE)

    def list_stored(self) -> dict[str, Any]:
        """List what is stored alongside the weights, as the file `cfg` has it."""
        return {key: self.cfg[key] for key in self.stored}

    def _check_stored(self) -> None:
        """Raise unless what was stored alongside the weights fits them.

        Raises:
            CheckpointError: It does not.
        """

    def _set_stored(self, stored: dict[str, Any]) -> None:
        if unknown := sorted(stored.keys() - set(self.stored)):
            raise CheckpointError(f"It holds {', '.join(unknown)}. Expected {', '.join(self.stored) or 'nothing'}.")
        # What an earlier version did not store yet stays as it is in a new component.
        self.cfg.update({key: stored[key] for key in self.stored if key in stored})
