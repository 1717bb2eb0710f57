"""Low-rank adapters: small matrices beside the weights of an encoder, which themselves stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from spacy_bertft.checkpoints import Weights, load_weights, read_weight_file, write_weight_file
from spacy_bertft.errors import CheckpointError, MissingExtraError, SettingError
from spacy_bertft.models.store.shim import TorchShim
from spacy_bertft.training.layers import has_layer

_NAME = "default"  # peft's
_PREFIX = "base_model.model."  # what peft puts before the names of a file
_WEIGHTS = "adapter_model.safetensors"


def inject_adapter(bert: Any, spec: Mapping[str, Any]) -> None:
    """Put an adapter beside the linear layers of a model of transformers, in place. At first it changes no output.

    Args:
        bert: The model.
        spec: `rank`, `alpha`, `dropout` and `targets` of the adapter.

    Raises:
        MissingExtraError: peft is not installed.
        SettingError: No linear layer has a name that ends with one of `targets`.

    Source: Hu et al. (2022), section 4.1.
    """
    try:
        from peft import inject_adapter_in_model
    except ImportError as error:
        raise MissingExtraError("An adapter", "peft") from error
    linear = [f".{name}" for name, part in bert.named_modules() if isinstance(part, torch.nn.Linear)]
    for target in spec["targets"] or []:
        if not any(name.endswith(f".{target}") for name in linear):
            raise SettingError("adapter.targets", target, "the end of the name of a linear layer, such as query")
    try:
        inject_adapter_in_model(_make_config(bert, spec), bert)
    except ValueError as error:
        raise SettingError("adapter.targets", spec["targets"], "names of linear layers, such as query") from error


def is_adapter(name: str) -> bool:
    """Tell whether a parameter is one of an adapter."""
    return ".lora_" in name


def add_adapter_names(own: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor]) -> Weights:
    """Give the weights of a checkpoint the names that they have beside an adapter, and add those of the adapter.

    Args:
        own: The state of a model with an adapter.
        weights: The weights of a checkpoint without one.
    """
    renamed = {name: weights[plain] for name in own if (plain := name.replace(".base_layer.", ".")) in weights}
    return renamed | {name: tensor for name, tensor in own.items() if is_adapter(name)}


def merge_adapter(bert: torch.nn.Module) -> Weights:
    """Return the weights of a model with those of its adapter added to them, under the names of a plain model."""
    merged = {
        name.replace(".base_layer.", "."): tensor for name, tensor in bert.state_dict().items() if not is_adapter(name)
    }
    for name, layer in find_adapted(bert):
        merged[f"{name}.weight"] = add_adapter(layer)
    return merged


def find_adapted(bert: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """Walk over the layers that have an adapter beside them."""
    return ((name, layer) for name, layer in bert.named_modules() if hasattr(layer, "get_delta_weight"))


def add_adapter(layer: Any) -> torch.Tensor:
    """Add the weights of an adapter to those of the layer beside it."""
    added: torch.Tensor = layer.base_layer.weight.detach() + layer.get_delta_weight(_NAME).detach()
    return added


def write_adapter(shim: TorchShim, folder: Path) -> None:
    """Write the adapter of an encoder as peft does, so that it can be put beside the same weights elsewhere."""
    if not has_adapter_apart(shim):
        return
    folder.mkdir(exist_ok=True)
    weights = {
        _get_peft_name(name): tensor for name, tensor in shim.module.bert.state_dict().items() if is_adapter(name)
    }
    write_weight_file(folder / _WEIGHTS, weights)
    config = _make_config(shim.module.bert, shim.spec["adapter"])
    config.target_modules = sorted(config.target_modules)  # a set, which would be written in another order each time
    config.save_pretrained(str(folder))


def read_adapter(shim: TorchShim, folder: Path) -> None:
    """Read the adapter that stands beside an encoder.

    Raises:
        CheckpointError: It is missing, or does not fit.
    """
    if not shim.spec.get("adapter"):
        return
    if not (folder / _WEIGHTS).is_file():
        raise CheckpointError(f"{folder} holds no {_WEIGHTS}, without which the encoder is not what was trained.")
    bert, stored = shim.module.bert, read_weight_file(folder / _WEIGHTS)
    weights = dict(bert.state_dict())
    names = {_get_peft_name(name): name for name in weights if is_adapter(name)}
    if stored.keys() != names.keys():
        raise CheckpointError(
            f"{folder / _WEIGHTS} is of another model: it holds {len(stored)} tensors of other names."
        )
    load_weights(bert, weights | {names[name]: tensor for name, tensor in stored.items()}, str(folder / _WEIGHTS))
    shim.mark_changed()


@contextmanager
def keep_adapter_apart(shim: TorchShim | None) -> Iterator[None]:
    """Leave the weights of the adapter of an encoder, if there is one, out of its bytes for a while."""
    if shim is None or not has_adapter_apart(shim):
        yield
        return
    shim.is_left_out = is_adapter
    try:
        yield
    finally:
        shim.is_left_out = None


@contextmanager
def keep_adapters(shims: Iterable[TorchShim]) -> Iterator[None]:
    """Write adapters beside their encoders for a while, also those that are to be written as one with them."""
    merged = {shim: shim.export for shim in shims if shim.spec.get("adapter")}
    for shim in merged:
        shim.export = None
    try:
        yield
    finally:
        for shim, export in merged.items():
            shim.export = export


def has_adapter_apart(shim: TorchShim) -> bool:
    """Tell whether an encoder has an adapter that is not merged into its weights when they are written."""
    return bool(shim.spec.get("adapter")) and not shim.export


def _get_peft_name(name: str) -> str:
    return _PREFIX + name.replace(f".{_NAME}.", ".")


def _make_config(bert: torch.nn.Module, spec: Mapping[str, Any]) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=spec["rank"],
        lora_alpha=spec["alpha"],
        lora_dropout=spec["dropout"],
        target_modules=spec["targets"] or _list_linear(bert),
    )


def _list_linear(bert: torch.nn.Module) -> list[str]:
    """List the linear layers within the layers of an encoder."""
    names = [
        name.replace(".base_layer", "") for name, part in bert.named_modules() if isinstance(part, torch.nn.Linear)
    ]
    return sorted({name for name in names if has_layer(f"{name}.") and not is_adapter(name)})
