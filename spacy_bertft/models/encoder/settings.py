"""The settings of an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Optional, get_args

from spacy_bertft.checkpoints.checkpoint import find_window_size
from spacy_bertft.errors import SettingError, check_setting
from spacy_bertft.models.encoder.trainable import FrozenLayers, Lora
from spacy_bertft.models.runtime.devices import Backend, Precision, check_precision
from spacy_bertft.tokens.windows import choose_stride

Layers = Literal["last", "second_to_last", "sum_last_four", "concat_last_four", "scalar_mix", "all"]


class WindowSize(NamedTuple):
    """How long texts are cut into windows, in pieces without special pieces.

    Attributes:
        size: The most pieces of a window.
        stride: Pieces from one window to the next.
    """

    size: int
    stride: int


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
            and `"bf16"` insist. `"fp16"` is for predictions; training is then as with `"auto"`.
        backend: What runs predictions: `"torch"`, or `"openvino"` on a CPU, which makes a graph of the encoder when it
            first predicts; training is in torch in any case. `"graph"` has a pipeline that only predicts, without
            torch, as `package --runtime openvino` and `quantize` make it.
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
        windows_over: What windows are laid over: the whole `"text"`, or its `"sentences"`, each in windows of its own
            as if it came alone. A component before the one that reads the encoder must find them, such as `sentencizer`
            or `senter`, in training too (`annotating_components`). Pairs of texts are never cut.

    Raises:
        SettingError: A setting is outside what is allowed.
        MissingExtraError: OpenVINO is wanted and not installed.
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
    windows_over: Literal["text", "sentences"] = "text"

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
        for setting, choices in (("tokenize", ("text", "tokens")), ("windows_over", ("text", "sentences"))):
            check_setting(setting, getattr(self, setting), getattr(self, setting) in choices, " or ".join(choices))

    def choose_window(self, config: Mapping[str, Any], n_special: int) -> WindowSize:
        """Choose how long texts are cut.

        Args:
            config: The configuration of the checkpoint.
            n_special: How many pieces of a window are special.

        Raises:
            SettingError: A setting does not fit the checkpoint.
        """
        size = find_window_size(self.name, config, self.window, n_special)
        stride = self.stride or choose_stride(size)
        if stride > size:
            raise SettingError("stride", stride, f"at most {size}, or subword tokens between two windows would be lost")
        return WindowSize(size, stride)
