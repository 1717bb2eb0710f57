"""The state of an optimizer, as tensors whose names mean the same in another process."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Literal, cast

import torch
from spacy.language import Language
from thinc.api import Model, Optimizer, get_current_ops, get_torch_default_device

from spacy_bertft.checkpoints import Weights
from spacy_bertft.errors import CheckpointError
from spacy_bertft.training.optimizer import AdamW

_ARRAYS = ("mom1", "mom2", "averages")
_COUNTS = ("nr_update", "last_seen")
_TORCH = "torch."  # before the names of torch's own moments

Key = tuple[int, str]  # the id of a model or a shim, and the name of a parameter
Part = Literal["node", "shim"]


def read_optimizer(optimizer: Optimizer, nlp: Language) -> Weights:
    """Read moments, averages and counts of an optimizer.

    Args:
        optimizer: Thinc's or ours.
        nlp: The pipeline that learns.
    """
    ids, param_names = _list_ids(nlp)
    found: Weights = {}
    for kind, (id_, name), tensor in _walk(optimizer):
        # Nodes and shims are both numbered from one: the name tells which is meant.
        part: Part = "node" if name in param_names.get(id_, ()) else "shim"
        if id_ in ids[part]:  # the optimizer may know models that are no longer in the pipeline
            found[json.dumps([kind, part, ids[part].index(id_), name])] = tensor
    return found


def put_optimizer(optimizer: Optimizer, nlp: Language, state: Weights) -> None:
    """Put back what `read_optimizer` returned; it replaces everything that the optimizer knows.

    Raises:
        CheckpointError: The pipeline is another one.
    """
    ids, _ = _list_ids(nlp)
    by_kind: dict[str, dict[Key, torch.Tensor]] = defaultdict(dict)
    for path, tensor in state.items():
        kind, part, position, name = json.loads(path)
        if position >= len(ids[part]):
            raise CheckpointError(
                "The snapshot knows a component or a layer that this pipeline does not have. Resume with the versions "
                "and the code that the training was started with."
            )
        by_kind[kind][ids[part][position], name] = tensor
    ops = get_current_ops()
    for kind in _ARRAYS:
        if getattr(optimizer, kind) is not None:
            arrays = {key: ops.asarray(cast(Any, tensor.numpy())) for key, tensor in by_kind[kind].items()}
            setattr(optimizer, kind, arrays)
    for kind in _COUNTS:
        setattr(optimizer, kind, defaultdict(int, {key: int(tensor) for key, tensor in by_kind[kind].items()}))
    if isinstance(optimizer, AdamW):
        moments: dict[Key, Weights] = defaultdict(dict)
        for kind, tensors in by_kind.items():
            for key, tensor in tensors.items() if kind.startswith(_TORCH) else ():
                moments[key][kind.removeprefix(_TORCH)] = tensor
        optimizer.moments = moments
        optimizer.n_averaged = {id_: int(tensor) for (id_, _), tensor in by_kind["n_averaged"].items()}
        if optimizer.averages is not None:
            device = get_torch_default_device()
            averages = {key: tensor.to(device) for key, tensor in by_kind["torch averages"].items()}
            optimizer.averages.update(cast(Any, averages))


def _list_ids(nlp: Language) -> tuple[dict[Part, list[int]], dict[int, tuple[str, ...]]]:
    """List the ids of all models and shims of a pipeline, and the names of the models' parameters.

    Thinc gives other ids in every process, but the order of the pipeline and of the walk over a model is the same.
    """
    models = [model for _, pipe in nlp.pipeline if isinstance(model := getattr(pipe, "model", None), Model)]
    nodes = {node.id: node for model in models for node in model.walk()}
    shims = {shim.id: shim for node in nodes.values() for shim in node.shims}
    return {"node": list(nodes), "shim": list(shims)}, {id_: node.param_names for id_, node in nodes.items()}


def _walk(optimizer: Optimizer) -> Iterator[tuple[str, Key, torch.Tensor]]:
    for kind in _ARRAYS:
        for key, array in (getattr(optimizer, kind) or {}).items():
            if isinstance(array, torch.Tensor):
                yield f"torch {kind}", key, array
            else:
                yield kind, key, torch.from_numpy(cast(Any, get_current_ops()).to_numpy(array).copy())
    for kind in _COUNTS:
        yield from ((kind, key, torch.tensor(count)) for key, count in getattr(optimizer, kind).items())
    if isinstance(optimizer, AdamW):
        for key, moments in optimizer.moments.items():
            yield from ((f"{_TORCH}{kind}", key, tensor) for kind, tensor in moments.items())
        yield from (("n_averaged", (id_, ""), torch.tensor(count)) for id_, count in optimizer.n_averaged.items())
