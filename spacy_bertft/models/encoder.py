"""`spacy-bertft.BertEncoder.v1`: documents → states."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Optional

import torch
from spacy.tokens import Doc
from thinc.api import Model

from ..checkpoints import find_max_positions, read_checkpoint
from ..errors import SettingError
from ..training.layers import FrozenLayers, count_frozen, find_depth, find_lr_scale
from .bert import BertModule, build_bert, describe_bert, load_bert
from .encoded import EncodedDocs, EncodedGradient
from .forks import adapt_to_fork
from .plan import plan_encoding
from .precision import Precision, check_precision, find_dtype
from .shim import TorchShim, get_shim
from .windowed import encode_windows

LONGEST_DEFAULT_WINDOW = 512


@dataclass(frozen=True)
class EncoderSettings:
    """The settings of an encoder, as in its config section; see `build_bert_encoder`."""

    name: str
    window: int | None
    stride: int | None
    max_pieces: int
    precision: Precision
    frozen_layers: FrozenLayers
    layer_lr_decay: float


def build_bert_encoder(
    name: str,
    window: Optional[int] = None,  # noqa: UP045 (confection reads this at run time)
    stride: Optional[int] = None,  # noqa: UP045
    max_pieces: int = 1024,
    precision: Precision = "auto",
    frozen_layers: FrozenLayers = "none",
    layer_lr_decay: float = 1.0,
) -> Model[list[Doc], EncodedDocs]:
    """Build an encoder with weights of its own. Nothing is read before `initialize` or `from_disk`.

    Args:
        name: Folder or hub id of the checkpoint to start from. A trained pipeline does not need it any more.
        window: Most pieces of a window, special pieces included. By default as many as the model can number, at
            most 512.
        stride: Pieces from one window of a long text to the next, three quarters of a window by default.
        max_pieces: Most pieces, padding included, of one forward pass.
        precision: `"auto"` computes in bfloat16 where the hardware multiplies it natively, else in float32; `"fp32"`
            and `"bf16"` insist.
        frozen_layers: What does not learn: `"none"`, `"embeddings"`, a number of layers from the bottom (with the
            embeddings), `"all_but_last"` layer, or `"all"`.
        layer_lr_decay: Factor on the learning rate from each layer to the one below.

    Raises:
        SettingError: A setting is outside what is allowed.
    """
    check_precision(precision)
    for setting, value in (("window", window), ("stride", stride), ("max_pieces", max_pieces)):
        if value is not None and value < 1:
            raise SettingError(setting, value, "a positive number of pieces")
    if not 0 < layer_lr_decay <= 1:
        raise SettingError("layer_lr_decay", layer_lr_decay, "a factor above 0, at most 1")
    settings = EncoderSettings(
        name,
        window,
        stride,
        max_pieces,
        precision,
        frozen_layers,
        layer_lr_decay,
    )
    shim = TorchShim(partial(_build_module, settings), partial(_find_lr_scale, settings))
    return Model(
        "bert_encoder",
        partial(_forward, settings),
        init=partial(_init, settings),
        shims=[shim],
        dims={"nO": None},
    )


def _init(settings: EncoderSettings, model: Model[list[Doc], EncodedDocs], X: Any = None, Y: Any = None) -> None:
    checkpoint = read_checkpoint(settings.name)
    module: BertModule = get_shim(model).attach(describe_bert(checkpoint))
    load_bert(module, checkpoint)
    model.set_dim("nO", module.width, force=True)


def _build_module(settings: EncoderSettings, spec: dict[str, Any]) -> BertModule:
    module = build_bert(spec)
    _find_window(settings, module, spec["config"])
    module.freeze(count_frozen(settings.frozen_layers, module.n_layers))
    return module


def _find_lr_scale(settings: EncoderSettings, module: BertModule, name: str) -> float:
    depth = find_depth(name, module.n_layers)
    return find_lr_scale(depth, module.n_layers, settings.layer_lr_decay)


def _find_window(settings: EncoderSettings, module: BertModule, config: dict[str, Any]) -> tuple[int, int]:
    """Return window and stride in pieces, special pieces left out."""
    longest = find_max_positions(config)
    size = settings.window or min(longest or LONGEST_DEFAULT_WINDOW, LONGEST_DEFAULT_WINDOW)
    if longest is not None and size > longest:
        raise SettingError("window", size, f"at most {longest}, which is as many pieces as {settings.name} can number")
    size -= module.tokenizer.n_special
    if size < 1:
        raise SettingError("window", settings.window, f"more than {module.tokenizer.n_special} special pieces")
    stride = settings.stride or max(1, size * 3 // 4)
    if stride > size:
        raise SettingError("stride", stride, f"at most {size}, or pieces between two windows would be lost")
    return size, stride


def _forward(
    settings: EncoderSettings, model: Model[list[Doc], EncodedDocs], docs: list[Doc], is_train: bool
) -> tuple[EncodedDocs, Callable[[EncodedGradient], list[Doc]]]:
    adapt_to_fork()
    shim = get_shim(model)
    module: BertModule = shim.module
    plan = plan_encoding(docs, module.tokenizer, *_find_window(settings, module, shim.spec["config"]))
    dtype = find_dtype(settings.precision, module.device)
    learns = is_train and any(parameter.requires_grad for parameter in module.parameters())
    if not learns:
        # A head that learns over a frozen encoder keeps the states for its backward pass.
        with torch.no_grad() if is_train else torch.inference_mode():
            return encode_windows(shim.get_inference_module(dtype), plan, settings.max_pieces), _ignore_gradient
    module.train()
    with torch.autocast(module.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        encoded = encode_windows(module, plan, settings.max_pieces)

    def backprop(gradient: EncodedGradient) -> list[Doc]:
        pairs = [
            (encoded.token_vectors, gradient.token_vectors),
            (encoded.doc_vectors, gradient.doc_vectors),
        ]
        used = [(output, d_output) for output, d_output in pairs if d_output is not None and output.requires_grad]
        torch.autograd.backward([output for output, _ in used], [d_output for _, d_output in used])
        return []

    return encoded, backprop


def _ignore_gradient(gradient: EncodedGradient) -> list[Doc]:
    return []
