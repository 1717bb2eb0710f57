"""An encoder as its heads see it, and a thinc model around the torch module of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Optional, TypeVar

import torch
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Model
from thinc.shims import Shim

from spacy_bertft.checkpoints import Checkpoint, Weights, read_checkpoint
from spacy_bertft.checkpoints.checkpoint import find_window_size
from spacy_bertft.errors import CheckpointError, SettingError, name_source
from spacy_bertft.models.encoder import trainable
from spacy_bertft.models.encoder.inference import make_inference_copy
from spacy_bertft.models.encoder.loading import build_bert, describe_bert, load_bert
from spacy_bertft.models.encoder.module import LAYERS, BertModule, Layers, WindowSize
from spacy_bertft.models.encoder.states import OUTPUTS, EncodedDocs, Output
from spacy_bertft.models.encoder.trainable import FrozenLayers, Lora
from spacy_bertft.models.runtime.devices import Backend, Precision, check_precision, find_training_dtype
from spacy_bertft.models.runtime.processes import adapt_to_fork, share_with_forks
from spacy_bertft.models.store.building import SizeLimit
from spacy_bertft.models.store.shim import TorchModel, TorchShim, TypedModel
from spacy_bertft.tokens import PieceTokenizer
from spacy_bertft.tokens.windows import choose_stride

Encoded = TypeVar("Encoded")
Output_ = TypeVar("Output_")


@dataclass(frozen=True)
class EncoderSettings:
    """The settings of an encoder, as in its config section; see `spacy_bertft.models.encoder.build.build_bert_encoder`.

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

    def __post_init__(self) -> None:
        check_precision(self.precision, self.backend)
        for setting in ("window", "stride", "max_pieces"):
            value = getattr(self, setting)
            if value is not None and value < 1:
                raise SettingError(setting, value, "a positive number of pieces")
        if not 0 < self.layer_lr_decay <= 1:
            raise SettingError("layer_lr_decay", self.layer_lr_decay, "a factor above 0, at most 1")
        if self.cache_mb < 0:
            raise SettingError("cache_mb", self.cache_mb, "megabytes, or 0")
        if self.layers not in LAYERS:
            raise SettingError("layers", self.layers, f"one of {', '.join(LAYERS)}")


class Encoder(TypedModel[list[Doc], EncodedDocs]):
    """What a head knows of its encoder, whether that is its own or the one of another component.

    Args:
        name: thinc's name for the kind of model.
        forward: thinc's forward function, from documents to `EncodedDocs`.
        init: What thinc calls to initialize the model.
        width: Width of the states, if it is known already.
        **attrs: What thinc stores with the model.
    """

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        *,
        init: Callable[..., Any] | None = None,
        width: int | None = None,
        **attrs: Any,
    ) -> None:
        # Not `super()`: a subclass is also a listener of spacy-transformers.
        Model.__init__(self, name, forward, init=init, dims={"nO": width}, attrs={"outputs": [], **attrs})

    @property
    def outputs(self) -> list[Output]:
        """What heads have required; thinc stores it with the model."""
        return self.attrs["outputs"]

    def require(self, output: Output) -> None:
        """Have the encoder yield an output; what nobody requires is not computed."""
        if output not in self.outputs:
            self.outputs.append(output)

    def check_stored(self) -> None:
        """Raise unless the outputs are known.

        Raises:
            CheckpointError: What was stored requires something else.
        """
        if unknown := set(self.outputs) - set(OUTPUTS):
            raise CheckpointError(f"It asks its encoder for {', '.join(sorted(unknown))}, which is not known.")

    def check_link(self, nlp: Language | None = None) -> None:
        """Raise unless there is an encoder: that of another component may be missing.

        Args:
            nlp: The pipeline, if it is known.

        Raises:
            MissingEncoderError: It is missing.
        """

    def find_source(self) -> PretrainedModel[EncodedDocs] | None:
        """Return the encoder that computes the states; None if it is not one of ours, or not linked."""
        return None


class PretrainedModel(TorchModel[list[Doc], Output_]):
    """A thinc model around an encoder of transformers.

    Args:
        name: thinc's name for the kind of model.
        forward: thinc's forward function.
        settings: The settings of the encoder.
        shims: Further torch modules.
        **attrs: What thinc stores with the model, or spaCy looks up.
    """

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        settings: EncoderSettings,
        shims: Sequence[Shim] = (),
        **attrs: Any,
    ) -> None:
        export = _merge if settings.adapter and settings.adapter.save == "merged" else None
        shim = TorchShim(partial(_build_module, settings), partial(_get_lr_scale, settings), export)
        init = PretrainedModel.read_checkpoint
        TorchModel.__init__(self, name, forward, init=init, shims=[shim, *shims], dims={"nO": None}, attrs=attrs)
        self.settings = settings
        share_with_forks(self, PretrainedModel.prepare_for_forks)

    @property
    def tokenizer(self) -> PieceTokenizer:
        """What cuts texts into pieces."""
        return self.module.tokenizer

    @property
    def window(self) -> WindowSize:
        """The windows into which long texts are cut."""
        return self.module.window

    def read_checkpoint(self, X: Any = None, Y: Any = None) -> None:
        """Read the checkpoint that the settings name; thinc calls this to initialize the model.

        Raises:
            CheckpointError: It cannot be read.
        """
        self.load_checkpoint(read_checkpoint(self.settings.name))

    def load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Build the module from a checkpoint in memory.

        Raises:
            CheckpointError: Weights are missing or misshapen, or the configuration is not theirs.
        """
        adapter = self.settings.adapter
        description = describe_bert(checkpoint, adapter.spec if adapter else None)
        with name_source(checkpoint.name), SizeLimit(checkpoint.weights, checkpoint.name):
            module: BertModule = self.shim.attach(description)
        load_bert(module, checkpoint)
        self.set_dim("nO", module.feature_width, force=True)

    def run(self, is_train: bool, encode: Callable[[BertModule], Encoded]) -> Encoded:
        """Run the module in the number format that is set, to learn where something learns, else to predict.

        Args:
            is_train: Whether the states are to be learned from.
            encode: Makes states with a module.
        """
        adapt_to_fork()
        module: BertModule = self.module
        if is_train and module.learns:
            module.train()
            dtype = find_training_dtype(self.settings.precision, module.device)
            with torch.autocast(module.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                return encode(module)
        # A head that learns over a frozen encoder keeps the states for its backward pass.
        with torch.no_grad() if is_train else torch.inference_mode():
            return encode(self.shim.derive("inference copy", self._make_inference_copy))

    def _make_inference_copy(self, module: BertModule) -> Any:
        return make_inference_copy(module, self.settings.precision, self.settings.backend)

    def prepare_for_forks(self) -> None:
        """Make what predicts, so that forked processes share its memory."""
        if self.is_initialized and self.module.device.type == "cpu":
            self.shim.derive("inference copy", self._make_inference_copy)


def _build_module(settings: EncoderSettings, spec: dict[str, Any]) -> BertModule:
    module = build_bert(spec, settings.layers)
    size = find_window_size(settings.name, spec["config"], settings.window, module.tokenizer.n_special)
    stride = settings.stride or choose_stride(size)
    if stride > size:
        raise SettingError("stride", stride, f"at most {size}, or pieces between two windows would be lost")
    module.window = WindowSize(size, stride)
    module.always_frozen = trainable.count_frozen(settings.frozen_layers, module.n_layers)
    module.freeze(module.always_frozen)
    return module


def _get_lr_scale(settings: EncoderSettings, module: BertModule, name: str) -> float:
    depth = trainable.find_depth(name, module.n_layers)
    return trainable.find_lr_scale(depth, module.n_layers, settings.layer_lr_decay)


def _merge(module: BertModule, spec: dict[str, Any]) -> tuple[dict[str, Any], Weights]:
    return {**spec, "adapter": None}, trainable.merge_adapter(module)
