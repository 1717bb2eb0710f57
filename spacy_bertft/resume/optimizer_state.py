"""What an optimizer knows, as tensors whose names mean the same in another process."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import torch
from spacy.language import Language
from thinc.api import Model, Optimizer, get_current_ops, get_torch_default_device

from spacy_bertft.checkpoints import Weights
from spacy_bertft.errors import CheckpointError
from spacy_bertft.training.optimizer import AdamW

_ARRAYS = ("mom1", "mom2", "averages")
_COUNTS = ("nr_update", "last_seen")


class Place(NamedTuple):
    """Where a parameter is: the numbers that thinc gives to models and shims are others in every process."""

    component: str
    part: str  # node or shim
    position: int  # in the order of the walk over the component's model


class Places:
    """The numbers of all models and shims of a pipeline, and where they are."""

    def __init__(self, nlp: Language) -> None:
        self._nodes: dict[int, Place] = {}
        self._shims: dict[int, Place] = {}
        self._names: dict[int, set[str]] = {}
        for name, pipe in nlp.pipeline:
            if isinstance(model := getattr(pipe, "model", None), Model):
                self._add(name, model)
        self._numbers = {place: number for known in (self._nodes, self._shims) for number, place in known.items()}

    def _add(self, component: str, model: Model[Any, Any]) -> None:
        shims = 0
        for index, node in enumerate(model.walk()):
            self._nodes.setdefault(node.id, Place(component, "node", index))
            self._names[node.id] = set(node.param_names)
            for shim in node.shims:
                self._shims.setdefault(shim.id, Place(component, "shim", shims))
                shims += 1

    def find(self, number: int, name: str) -> Place | None:
        """Find a parameter of a model or of a shim, or nothing where the pipeline does not have it."""
        # Both are numbered from one: the name tells which is meant.
        if name in self._names.get(number, ()):
            return self._nodes[number]
        return self._shims.get(number)

    def get_number(self, place: Place) -> int:
        """Return the number that a place has in this process.

        Raises:
            CheckpointError: The pipeline has no such place.
        """
        if place not in self._numbers:
            raise CheckpointError(
                f"The snapshot knows a part of '{place.component}' that this pipeline does not have. "
                "Resume with the versions and the code that the training was begun with."
            )
        return self._numbers[place]


def read_optimizer(optimizer: Optimizer, nlp: Language) -> Weights:
    """Read moments, averages and counts of an optimizer.

    Args:
        optimizer: Thinc's or ours.
        nlp: The pipeline that learns.
    """
    places = Places(nlp)
    found: Weights = {}
    for kind, number, name, tensor in _walk(optimizer):
        place = places.find(number, name)
        if place is not None:
            found[json.dumps([kind, *place, name])] = tensor
    return found


def put_optimizer(optimizer: Optimizer, nlp: Language, state: Weights) -> None:
    """Put back what `read_optimizer` gave, in the place of all that the optimizer knows.

    Raises:
        CheckpointError: The pipeline is another one.
    """
    places = Places(nlp)
    by_kind: dict[str, dict[tuple[int, str], torch.Tensor]] = defaultdict(dict)
    for key, tensor in state.items():
        kind, component, part, position, name = json.loads(key)
        by_kind[kind][places.get_number(Place(component, part, position)), name] = tensor
    ops = get_current_ops()
    for kind in _ARRAYS:
        if getattr(optimizer, kind) is not None:
            setattr(
                optimizer, kind, {key: ops.asarray(cast(Any, tensor.numpy())) for key, tensor in by_kind[kind].items()}
            )
    for kind in _COUNTS:
        setattr(optimizer, kind, defaultdict(int, {key: int(tensor) for key, tensor in by_kind[kind].items()}))
    if isinstance(optimizer, AdamW):
        _put_torch(optimizer, by_kind)


def _put_torch(optimizer: AdamW, by_kind: dict[str, dict[tuple[int, str], torch.Tensor]]) -> None:
    moments: dict[tuple[int, str], Weights] = defaultdict(dict)
    for kind, tensors in by_kind.items():
        if kind.startswith("torch."):
            for key, tensor in tensors.items():
                moments[key][kind.removeprefix("torch.")] = tensor
    optimizer.moments = moments
    optimizer.n_averaged = {number: int(tensor) for (number, _), tensor in by_kind["n_averaged"].items()}
    device = get_torch_default_device()
    averages = cast(Any, optimizer.averages)
    if averages is not None:
        averages |= {key: tensor.to(device) for key, tensor in by_kind["torch averages"].items()}


def _walk(optimizer: Optimizer) -> Iterator[tuple[str, int, str, torch.Tensor]]:
    for kind in _ARRAYS:
        for (number, name), array in (getattr(optimizer, kind) or {}).items():
            is_torch = isinstance(array, torch.Tensor)
            yield (f"torch {kind}", number, name, array) if is_torch else (kind, number, name, _to_tensor(array))
    for kind in _COUNTS:
        for (number, name), count in getattr(optimizer, kind).items():
            yield kind, number, name, torch.tensor(count)
    if isinstance(optimizer, AdamW):
        for (number, name), moments in optimizer.moments.items():
            for kind, tensor in moments.items():
                yield f"torch.{kind}", number, name, tensor
        for number, count in optimizer.n_averaged.items():
            yield "n_averaged", number, "", torch.tensor(count)


def _to_tensor(array: Any) -> torch.Tensor:
    return torch.from_numpy(cast(Any, get_current_ops()).to_numpy(array).copy())
