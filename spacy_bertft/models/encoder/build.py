"""`spacy-bertft.BertEncoder.v1`: documents → states.

What cuts texts into pieces for an encoder, and how many of them go into a window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Optional, TypeVar, Union, cast

import torch
from spacy.tokens import Doc
from thinc.api import Model
from thinc.shims import Shim

from spacy_bertft.checkpoints import Checkpoint, Weights, find_window_size, read_checkpoint, read_head
from spacy_bertft.errors import CheckpointError, SettingError, name_source
from spacy_bertft.models.encoder.adapter import merge_adapter
from spacy_bertft.models.encoder.cache import StateCache
from spacy_bertft.models.encoder.features import MIX_LR_SCALE, Layers, ScalarMix, build_mix, check_layers
from spacy_bertft.models.encoder.forward import encode_windows, plan_encoding
from spacy_bertft.models.encoder.listener import SharedEncoder
from spacy_bertft.models.encoder.module import BertModule, build_bert, describe_bert, load_bert
from spacy_bertft.models.encoder.output import EncodedDocs, EncodedGradient, Output, backprop_encoded, check_outputs
from spacy_bertft.models.runtime.inference import make_inference_copy
from spacy_bertft.models.runtime.precision import Backend, Precision, check_precision, find_training_dtype
from spacy_bertft.models.runtime.processes import adapt_to_fork, share_with_forks
from spacy_bertft.models.store.building import SizeLimit
from spacy_bertft.models.store.serialization import CHECK
from spacy_bertft.models.store.shim import TorchShim, get_shim, has_weights
from spacy_bertft.tokens import PieceTokenizer, choose_stride
from spacy_bertft.training.layers import FrozenLayers, count_frozen, find_depth, find_lr_scale
from spacy_bertft.training.lora import Lora

Encoded = TypeVar("Encoded")


@dataclass(frozen=True)
class EncoderSettings:
    """The settings of an encoder, as in its config section; see `build_bert_encoder`."""

    name: str
    window: int | None
    stride: int | None
    max_pieces: int
    precision: Precision
    backend: Backend
    frozen_layers: FrozenLayers
    layer_lr_decay: float
    layers: Layers
    cache_mb: int
    adapter: Lora | None


def build_bert_encoder(
    name: str,
    window: Optional[int] = None,  # noqa: UP045 (confection reads this at run time)
    stride: Optional[int] = None,  # noqa: UP045
    max_pieces: int = 1024,
    precision: Precision = "auto",
    backend: Backend = "torch",
    frozen_layers: FrozenLayers = "none",
    layer_lr_decay: float = 1.0,
    layers: Layers = "last",
    cache_mb: int = 1024,
    adapter: Optional[Lora] = None,  # noqa: UP045
) -> Model[list[Doc], EncodedDocs]:
    """Build an encoder with weights of its own. Nothing is read before `initialize` or `from_disk`.

    Args:
        name: Folder or hub id of the checkpoint to start from. A trained pipeline does not need it any more.
        window: Most pieces of a window, special pieces included. By default as many as the model can number, at
            most 512.
        stride: Pieces from one window of a long text to the next; by default two windows share a quarter of their
            pieces, at most 64.
        max_pieces: Most pieces, padding included, of one forward pass.
        precision: `"auto"` computes in bfloat16 where the hardware multiplies it natively, else in float32; `"fp32"`
            and `"bf16"` insist. `"fp16"` and `"int8"`, 8-bit integers in the dense layers, are for predictions;
            training is then as with `"auto"`.
        backend: What predicts: `"torch"`, or `"onnx"`, ONNX Runtime, in float32 or `"int8"`.
        frozen_layers: What does not learn: `"none"`, `"embeddings"`, a number of layers from the bottom (with the
            embeddings), `"all_but_last"` layer, or `"all"`.
        layer_lr_decay: Factor on the learning rate from each layer to the one below.
        layers: Which hidden states make the features: `"last"`, `"second_to_last"`, `"sum_last_four"`,
            `"concat_last_four"`, or `"scalar_mix"`, a learned mean over all layers and the embeddings.
        cache_mb: Megabytes of states that an encoder of which nothing learns keeps over the epochs of a training run;
            0 keeps none.
        adapter: A low-rank adapter, `@misc = "spacy-bertft.LoRA.v1"`; the weights of the encoder then stay as they are.

    Raises:
        SettingError: A setting is outside what is allowed.
        MissingExtraError: ONNX Runtime is wanted and not installed.
    """
    check_precision(precision, backend)
    for setting, value in (("window", window), ("stride", stride), ("max_pieces", max_pieces)):
        if value is not None and value < 1:
            raise SettingError(setting, value, "a positive number of pieces")
    if not 0 < layer_lr_decay <= 1:
        raise SettingError("layer_lr_decay", layer_lr_decay, "a factor above 0, at most 1")
    if cache_mb < 0:
        raise SettingError("cache_mb", cache_mb, "megabytes, or 0")
    check_layers(layers)
    settings = EncoderSettings(
        name,
        window,
        stride,
        max_pieces,
        precision,
        backend,
        frozen_layers,
        layer_lr_decay,
        layers,
        cache_mb,
        adapter,
    )
    shims: list[Shim] = [make_encoder_shim(settings)]
    if layers == "scalar_mix":
        shims.append(TorchShim(build_mix, _get_mix_lr_scale))
    return Model(
        "bert_encoder",
        partial(_forward, settings),
        init=partial(init_encoder, settings),
        shims=shims,
        dims={"nO": None},
        # Neither functions nor our own settings are stored.
        attrs={
            "outputs": [],
            "read_head": partial(read_head, name),
            "settings": settings,
            CHECK: partial(_check_stored, settings),
        },
    )


def make_encoder_shim(settings: EncoderSettings) -> TorchShim:
    """Make what holds the torch module of an encoder; the module itself comes with `init_encoder` or from bytes."""
    export = _merge if settings.adapter and settings.adapter.save == "merged" else None
    shim = TorchShim(partial(_build_module, settings), partial(_find_lr_scale, settings), export)
    share_with_forks(shim, partial(_prepare_for_forks, settings))
    return shim


def init_encoder(settings: EncoderSettings, model: Model[Any, Any], X: Any = None, Y: Any = None) -> None:
    """Read the checkpoint of an encoder.

    Raises:
        CheckpointError: It cannot be read.
    """
    module = attach_checkpoint(model, read_checkpoint(settings.name), settings.adapter)
    if settings.layers == "scalar_mix":
        cast(TorchShim, model.shims[1]).attach({"n_states": module.n_layers + 1})
        model.set_dim("nO", module.width, force=True)


def attach_checkpoint(model: Model[Any, Any], checkpoint: Checkpoint, adapter: Lora | None = None) -> BertModule:
    """Build the module of an encoder from a checkpoint in memory.

    Args:
        model: Its first shim is what `make_encoder_shim` makes.
        checkpoint: The checkpoint.
        adapter: The adapter that is put beside its weights.

    Raises:
        CheckpointError: Weights are missing or misshapen, or the configuration is not theirs.
    """
    description = describe_bert(checkpoint, adapter.spec if adapter else None)
    with name_source(checkpoint.name), SizeLimit(checkpoint.weights, checkpoint.name):
        module: BertModule = get_shim(model).attach(description)
    load_bert(module, checkpoint)
    model.set_dim("nO", module.feature_width, force=True)
    return module


def run_encoder(
    settings: EncoderSettings, shim: TorchShim, is_train: bool, encode: Callable[[BertModule], Encoded]
) -> Encoded:
    """Run an encoder in the number format that is set, to learn where something learns, else to predict.

    Args:
        settings: Its settings.
        shim: Holds its module.
        is_train: Whether the states are to be learned from.
        encode: Makes states with a module.
    """
    adapt_to_fork()
    module: BertModule = shim.module
    if is_train and module.learns:
        module.train()
        dtype = find_training_dtype(settings.precision, module.device)
        with torch.autocast(module.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            return encode(module)
    # A head that learns over a frozen encoder keeps the states for its backward pass.
    with torch.no_grad() if is_train else torch.inference_mode():
        return encode(_get_inference_copy(settings, shim))


def _get_inference_copy(settings: EncoderSettings, shim: TorchShim) -> Any:
    make_copy = partial(make_inference_copy, precision=settings.precision, backend=settings.backend)
    return shim.derive("inference copy", make_copy)


def _prepare_for_forks(settings: EncoderSettings, shim: TorchShim) -> None:
    if shim.spec and shim.module.device.type == "cpu":
        _get_inference_copy(settings, shim)


def _build_module(settings: EncoderSettings, spec: dict[str, Any]) -> BertModule:
    module = build_bert(spec, settings.layers)
    find_window(settings, module, spec["config"])
    module.always_frozen = count_frozen(settings.frozen_layers, module.n_layers)
    module.freeze(module.always_frozen)
    return module


def _find_lr_scale(settings: EncoderSettings, module: BertModule, name: str) -> float:
    depth = find_depth(name, module.n_layers)
    return find_lr_scale(depth, module.n_layers, settings.layer_lr_decay)


def _merge(module: BertModule, spec: dict[str, Any]) -> tuple[dict[str, Any], Weights]:
    return {**spec, "adapter": None}, merge_adapter(module)


def find_window(settings: EncoderSettings, module: BertModule, config: dict[str, Any]) -> tuple[int, int]:
    """Return window and stride in pieces, special pieces left out."""
    size = find_window_size(settings.name, config, settings.window, module.tokenizer.n_special)
    stride = settings.stride or choose_stride(size)
    if stride > size:
        raise SettingError("stride", stride, f"at most {size}, or pieces between two windows would be lost")
    return size, stride


def _check_stored(settings: EncoderSettings, model: Model[Any, Any]) -> None:
    check_outputs(model)
    shim = get_shim(model)
    if not shim.spec:
        return
    module: BertModule = shim.module
    width = module.feature_width
    if settings.layers == "scalar_mix":
        width = module.width
        mix: ScalarMix = cast(TorchShim, model.shims[1]).module
        if len(mix.weights) != module.n_layers + 1:
            raise CheckpointError(f"It mixes {len(mix.weights)} layers, but has {module.n_layers} and the embeddings.")
    if model.maybe_get_dim("nO") != width:
        raise CheckpointError(f"It says that its states are {model.maybe_get_dim('nO')} wide, but they are {width}.")


def _get_mix_lr_scale(module: torch.nn.Module, name: str) -> float:
    return MIX_LR_SCALE


def _forward(
    settings: EncoderSettings, model: Model[list[Doc], EncodedDocs], docs: list[Doc], is_train: bool
) -> tuple[EncodedDocs, Callable[[EncodedGradient], list[Doc]]]:
    shim = get_shim(model)
    module: BertModule = shim.module
    window, stride = find_window(settings, module, shim.spec["config"])
    outputs: list[Output] = model.attrs["outputs"] or ["tokens"]
    cache = _find_cache(settings, shim, is_train)

    def encode(module: BertModule, docs: list[Doc]) -> EncodedDocs:
        wanted = {"has_tokens": "tokens" in outputs, "has_texts": any(output != "tokens" for output in outputs)}
        plan = plan_encoding(docs, module.tokenizer, window, stride, **wanted)
        return encode_windows(module, plan, settings.max_pieces, outputs)

    def encode_cached(module: BertModule) -> EncodedDocs:
        return cache.encode(docs, partial(encode, module), outputs) if cache and docs else encode(module, docs)

    encoded = run_encoder(settings, shim, is_train, encode_cached)
    if settings.layers == "scalar_mix":
        with torch.set_grad_enabled(is_train):
            encoded = _mix(cast(TorchShim, model.shims[1]).module, encoded)
    return encoded, partial(_backprop, encoded)


def keeps_states(model: Model[Any, Any]) -> bool:
    """Tell whether a model is an encoder that keeps the states of its training texts, because nothing of it learns."""
    settings = model.attrs.get("settings")
    if not isinstance(settings, EncoderSettings) or not has_weights(model):
        return False
    return settings.cache_mb > 0 and not get_shim(model).module.learns


def _find_cache(settings: EncoderSettings, shim: TorchShim, is_train: bool) -> StateCache | None:
    """Return the states that a training run keeps; nothing where something learns, or where nobody trains."""
    if shim.module.learns or not settings.cache_mb:
        return None
    if is_train and "states" not in shim.derived:
        shim.derived["states"] = StateCache(settings.cache_mb * 2**20)
    return cast(Union[StateCache, None], shim.derived.get("states"))  # noqa: UP007


def _mix(mix: ScalarMix, encoded: EncodedDocs) -> EncodedDocs:
    pooled = {pooling: mix(vectors) for pooling, vectors in encoded.window_vectors.items()}
    return replace(encoded, token_vectors=mix(encoded.token_vectors), window_vectors=pooled)


def _backprop(encoded: EncodedDocs, gradient: EncodedGradient) -> list[Doc]:
    backprop_encoded(encoded, gradient)
    return []


def find_pieces(model: Model[list[Doc], Any]) -> tuple[PieceTokenizer, int] | None:
    """Find what cuts texts into pieces, and how many of them a window holds, special pieces included.

    Args:
        model: An initialized head over an encoder, its own or a shared one.

    Returns:
        Nothing for an encoder that is not ours.
    """
    encoder = model.layers[0]
    if isinstance(encoder, SharedEncoder):
        encoder = encoder.get_encoder()
    settings = encoder.attrs.get("settings")
    if not isinstance(settings, EncoderSettings):
        return None
    shim = get_shim(encoder)
    tokenizer: PieceTokenizer = shim.module.tokenizer
    size, _ = find_window(settings, shim.module, shim.spec["config"])
    return tokenizer, size + tokenizer.n_special
