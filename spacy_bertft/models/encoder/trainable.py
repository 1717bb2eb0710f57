"""What of an encoder learns, and how fast: frozen layers, learning rates by depth, low-rank adapters (LoRA)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional, Union

from thinc.compat import torch

from spacy_bertft.checkpoints import Weights
from spacy_bertft.checkpoints.weights import load_weights, read_weight_file, write_weight_file
from spacy_bertft.errors import CheckpointError, MissingExtraError, SettingError, format_count
from spacy_bertft.models.store.shim import TorchShim


@dataclass(frozen=True)
class Lora:
    """The settings of an adapter for an encoder, whose own weights then stay as they are. Needs the extra `peft`.

    Attributes:
        rank: Rank of the two low-rank matrices of each linear layer.
        alpha: Their product is scaled by `alpha / rank`.
        dropout: Rate of dropout on their input.
        targets: The linear layers with an adapter, by the ends of their names, such as `["query", "value"]`; by default
            all within the layers of the encoder.
        save: `"apart"` writes the adapter in peft's format into a directory `adapter` next to the encoder; `"merged"`
            adds it to the weights of the encoder, which then needs no peft.

    Raises:
        SettingError: A setting is outside what is allowed.

    Source: Hu et al. (2022), section 4.1.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: Optional[list[str]] = None  # noqa: UP045 (confection reads this at run time)
    save: Literal["apart", "merged"] = "apart"

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise SettingError("adapter.rank", self.rank, "a positive number")
        if not 0 <= self.dropout < 1:
            raise SettingError("adapter.dropout", self.dropout, "a rate from 0 up to, but not 1")
        if self.save not in ("apart", "merged"):
            raise SettingError("adapter.save", self.save, "apart or merged")

    @property
    def spec(self) -> dict[str, Any]:
        """What the weights of the adapter depend on."""
        return {"rank": self.rank, "alpha": float(self.alpha), "dropout": self.dropout, "targets": self.targets}


FrozenLayers = Union[int, Literal["none", "embeddings", "all_but_last", "all"]]  # noqa: UP007 (read at run time)

_LAYER = re.compile(r"(?:^|\.)(?:layers?|h)\.(\d+)\.")
_EMBEDDING = re.compile(r"embedding|\bw[tp]e\b")


def find_depth(name: str, n_layers: int) -> int:
    """Return the depth of a parameter: 0 for the embeddings, `i + 1` for layer `i`, `n_layers + 1` above them.

    Example:
        >>> [find_depth(name, 12) for name in ("embeddings.word.weight", "layer.11.x.bias", "pooler.dense.bias")]
        [0, 12, 13]
    """
    if match := _LAYER.search(name):
        return int(match.group(1)) + 1
    return 0 if _EMBEDDING.search(name) else n_layers + 1


def count_layers(names: Iterable[str]) -> int:
    """Count the layers that parameter names mention."""
    return 1 + max((int(match.group(1)) for name in names if (match := _LAYER.search(name))), default=-1)


def count_frozen(frozen_layers: FrozenLayers, n_layers: int) -> int:
    """Return below which depth parameters stay as they are.

    Args:
        frozen_layers: `"none"`, `"embeddings"`, a number `N` for the embeddings and the first `N` layers,
            `"all_but_last"` layer, or `"all"`.
        n_layers: Layers of the encoder.

    Raises:
        SettingError: The setting is none of these, or more layers than there are.
    """
    named = {"none": 0, "embeddings": 1, "all_but_last": n_layers, "all": n_layers + 2}
    if isinstance(frozen_layers, str) and frozen_layers in named:
        return named[frozen_layers]
    if isinstance(frozen_layers, str) and frozen_layers.isdecimal():
        frozen_layers = int(frozen_layers)  # a config value may reach us as it was typed
    if isinstance(frozen_layers, int) and 0 <= frozen_layers <= n_layers:
        return frozen_layers + 1 if frozen_layers else 0
    raise SettingError("frozen_layers", frozen_layers, f"one of {', '.join(named)}, or a number from 0 to {n_layers}")


def find_lr_scale(depth: int, n_layers: int, layer_lr_decay: float) -> float:
    """Return the factor on the learning rate at a depth: 1 for the top layer, times the decay for each layer below.

    Source: Howard & Ruder (2018), "discriminative fine-tuning".
    """
    return float(layer_lr_decay ** max(0, n_layers - depth))


_NAME = "default"  # peft's
_PREFIX = "base_model.model."  # what peft puts before the names of a file
_WEIGHTS = "adapter_model.safetensors"


def inject_adapter(bert: Any, spec: Mapping[str, Any]) -> None:
    """Add an adapter to the linear layers of a model of transformers, in place. At first it changes no output.

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
    """Give the weights of a checkpoint the names that they have next to an adapter, and add those of the adapter.

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
    """Walk over the layers that have an adapter."""
    return ((name, layer) for name, layer in bert.named_modules() if hasattr(layer, "get_delta_weight"))


def add_adapter(layer: Any) -> torch.Tensor:
    """Add the weights of an adapter to those of its layer."""
    return layer.base_layer.weight.detach() + layer.get_delta_weight(_NAME).detach()


def write_adapter(shim: TorchShim, folder: Path) -> None:
    """Write the adapter of an encoder as peft does, so that it can be used with the same weights elsewhere."""
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
    """Read the adapter that is stored next to an encoder.

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
            f"{folder / _WEIGHTS} is of another model: it holds {format_count(len(stored), 'tensor')} of other names."
        )
    load_weights(bert, weights | {names[name]: tensor for name, tensor in stored.items()}, str(folder / _WEIGHTS))
    shim.mark_changed()


def keep_adapter_apart(shim: TorchShim | None) -> AbstractContextManager[None]:
    """Leave the weights of the adapter of an encoder, if there is one, out of its bytes for a while."""
    return shim.change(is_left_out=is_adapter) if shim and has_adapter_apart(shim) else nullcontext()


@contextmanager
def keep_adapters(shims: Iterable[TorchShim]) -> Iterator[None]:
    """Write adapters next to their encoders for a while, also those that are to be written as one with them."""
    with ExitStack() as stack:
        for shim in shims:
            stack.enter_context(shim.change(export=None))  # which, if there is any, merges the adapter
        yield


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
    return sorted({name for name in names if _LAYER.search(f"{name}.") and not is_adapter(name)})
