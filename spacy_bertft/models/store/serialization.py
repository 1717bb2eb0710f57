"""The bytes of a whole model, and how to read them: all of them, or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import srsly
from thinc.api import Model

from spacy_bertft.errors import CheckpointError, parse_message
from spacy_bertft.models.store.shim import TorchShim, TypedModel


@contextmanager
def keep_on_error(model: Model[Any, Any]) -> Iterator[None]:
    """Give a model back what it had if changing it fails: dimensions, attributes, modules and their weights."""
    nodes = list(model.walk())
    before = [(dict(node._dims), dict(node.attrs), [dict(vars(shim)) for shim in node.shims]) for node in nodes]
    try:
        yield
    except BaseException:
        for node, (dims, attrs, shims) in zip(nodes, before, strict=True):
            node._dims = dims
            node.attrs.clear()
            node.attrs.update(attrs)
            for shim, state in zip(node.shims, shims, strict=True):
                vars(shim).clear()
                vars(shim).update(state)
                if isinstance(shim, TorchShim):
                    shim.mark_changed()
        raise


def read_model(model: Model[Any, Any], content: Any) -> None:
    """Read what `Model.to_bytes` wrote.

    Args:
        model: A model of the same architecture. Where this fails it may be left with some of the content, see
            `keep_on_error`.
        content: Bytes, or anything like them.

    Raises:
        CheckpointError: The content is of another architecture, or its parts do not fit each other.
        ValueError: Or any other error of msgpack and its kin: the content is damaged.
    """
    message = parse_message(content)
    nodes = list(model.walk())
    if message.keys() != {"nodes", "attrs", "params", "shims"} or any(
        len(part) != len(nodes) for part in message.values()
    ):
        raise CheckpointError("It is not of this architecture. Expected a model that was stored under the same config.")
    for index, node in enumerate(nodes):
        _check_node(node, *(message[part][index] for part in ("nodes", "attrs", "params", "shims")))
    model.from_dict(message)
    for node in nodes:
        if isinstance(node, TypedModel):
            node.check_stored()


def _check_node(node: Model[Any, Any], described: Any, attrs: Any, params: Any, shims: Any) -> None:
    """Raise unless what is stored of one node has the form of what it would store itself."""
    if set(described) != {"index", "name", "dims", "refs"} or len(shims) != len(node.shims):
        raise CheckpointError(f"It is not of this architecture. Expected a model with a part '{node.name}' there.")
    dims = described["dims"]
    if set(dims) != set(node.dim_names) or any(not _is_size(size) for size in dims.values()):
        raise CheckpointError(f"It has the dimensions {dims} for '{node.name}'. Expected sizes of {node.dim_names}.")
    for name, value in attrs.items():
        # A head whose rate of dropout is now in its config had it as an attribute when it was stored.
        default = 0.0 if name == "dropout_rate" else node.attrs.get(name)
        kinds = {_find_kind(srsly.msgpack_loads(value)), _find_kind(default)}
        if len(kinds) > 1 or None in kinds:
            raise CheckpointError(f"It has an attribute '{name}' of '{node.name}' that is not known there.")
    if described["refs"] or params:
        raise CheckpointError(f"It holds other weights for '{node.name}' than this architecture has.")


def _is_size(value: Any) -> bool:
    return value is None or (type(value) is int and value > 0)


def _find_kind(value: Any) -> str | None:
    """Name the kind of value that an attribute has, or None where such an attribute is not stored."""
    if isinstance(value, (bool, int, float)):
        return "number"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "names"
    return "name" if isinstance(value, str) else None
