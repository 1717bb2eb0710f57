"""The settings of an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional, get_args

from spacy_bertft.errors import SettingError
from spacy_bertft.models.encoder.module import Layers
from spacy_bertft.models.encoder.trainable import FrozenLayers, Lora
from spacy_bertft.models.runtime.devices import Backend, Precision, check_precision


@dataclass(frozen=True)
class EncoderSettings:
    """The settings of an encoder, as in its config section.

    Attributes:
        name: Folder or hub id of the checkpoint to start from. A trained pipeline does not need it any more.
        window: Maximum subword tokens of a window, special ones included. By default as many as the model has
            positions, at most 512.
        stride: Subword tokens from the start of one window of a long text to that of the next; by default two windows
            overlap by a quarter, at most 64.
        max_pieces: Maximum subword tokens of one forward pass, padding included.
        precision: `"auto"` computes in bfloat16 where the hardware multiplies it natively, else in float32; `"fp32"`
            and `"bf16"` insist. `"fp16"` and `"int8"`, 8-bit integers in the dense layers, are for predictions;
            training is then as with `"auto"`.
        backend: What runs predictions: `"torch"`, or `"onnx"` (ONNX Runtime, in float32 or `"int8"`).
        frozen_layers: What is not trained: `"none"`, `"embeddings"`, a number of layers from the bottom (with the
            embeddings), `"all_but_last"` layer, or `"all"`.
        layer_lr_decay: Factor on the learning rate from each layer to the one below.
        layers: Which hidden states make the features: `"last"`, `"second_to_last"`, `"sum_last_four"`,
            `"concat_last_four"`, `"scalar_mix"`, a learned mean over all layers and the embeddings, or `"all"` of them
            side by side, of which each `spacy-bertft.Listener.v1` chooses.
        cache_mb: Megabytes of hidden states that a completely frozen encoder keeps over the epochs of a training run;
            0 keeps none.
        adapter: A LoRA adapter, `@misc = "spacy-bertft.LoRA.v1"`, which is trained in place of the encoder's weights.
        tokenize: What the subword tokenizer is given: the whole `"text"`, as in Hugging Face's own pipelines, or its
            `"tokens"` one by one, each with the space before it, as in spacy-curated-transformers. Pairs of texts are
            always given whole.

    Raises:
        SettingError: A setting is outside what is allowed.
        MissingExtraError: ONNX Runtime is wanted and not installed.
    """

    name: str
    window: Optional[int] = None  # noqa: UP045 (confection reads these at run time)
    stride: Optional[int] = None  # noqa: UP045
    max_pieces: int = 1024
    precision: Precision = "auto"
    backend: Backend = "torch"
    frozen_layers: FrozenLayers = "none"
    layer_lr_decay: float = 1.0
    layers: Layers = "last"
    cache_mb: int = 1024
    adapter: Optional[Lora] = None  # noqa: UP045
    tokenize: Literal["text", "tokens"] = "text"

    def __post_init__(self) -> None:
        check_precision(self.precision, self.backend)
        for setting in ("window", "stride", "max_pieces"):
            value = getattr(self, setting)
            if value is not None and value < 1:
                raise SettingError(setting, value, "a positive number of subword tokens")
        if not 0 < self.layer_lr_decay <= 1:
            raise SettingError("layer_lr_decay", self.layer_lr_decay, "a factor above 0, at most 1")
        if self.cache_mb < 0:
            raise SettingError("cache_mb", self.cache_mb, "megabytes, or 0")
        if self.layers not in get_args(Layers):
            raise SettingError("layers", self.layers, f"one of {', '.join(get_args(Layers))}")
        if self.tokenize not in ("text", "tokens"):
            raise SettingError("tokenize", self.tokenize, "text or tokens")
