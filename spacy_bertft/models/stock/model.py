"""Architectures that work with spacy-transformers where it is installed: `spacy-bertft.SharedEncoder.v1`.

And `spacy-bertft.TransformerModel.v1`: our encoder as the model of a stock `transformer` component.
"""

# No `from __future__ import annotations`: confection reads signatures at run time.

from importlib.util import find_spec
from typing import Any, Optional

from spacy.tokens import Doc
from thinc.api import Model

from spacy_bertft.errors import MissingExtraError, SettingError
from spacy_bertft.models.encoder.build import Encoder, EncoderSettings
from spacy_bertft.models.encoder.listener import SharedEncoder
from spacy_bertft.models.runtime.precision import Precision, check_precision
from spacy_bertft.models.stock.spans import GetSpans


def build_shared_encoder(upstream: str = "*", grad_factor: float = 1.0) -> Encoder:
    """Build a layer that listens to an encoder earlier in the pipeline, so that several heads share one pass.

    Args:
        upstream: Name of the component with the encoder: a `bert_encoder` of ours, or a `transformer` of
            spacy-transformers; `*` for the nearest before the head.
        grad_factor: Factor on the gradient that goes back to the encoder; 0 keeps this head from teaching it.
    """
    if find_spec("spacy_transformers") is None:
        return SharedEncoder(upstream, grad_factor)
    from spacy_bertft.models.stock.spacy_transformers import StockListener

    return StockListener(upstream, grad_factor)


def build_transformer_model(
    name: str,
    get_spans: GetSpans,
    tokenizer_config: Optional[dict[str, Any]] = None,  # noqa: UP045
    transformer_config: Optional[dict[str, Any]] = None,  # noqa: UP045
    mixed_precision: bool = False,
    grad_scaler_config: Optional[dict[str, Any]] = None,  # noqa: UP045
    max_pieces: int = 1024,
    precision: Precision = "auto",
) -> Model[list[Doc], Any]:
    """Build a model that answers like `spacy-transformers.TransformerModel.v3`, so that one line of a config changes.

    The same spans are encoded and the same pieces aligned, so that what listens finds what it was trained on. They are
    run in buckets of similar length, in bfloat16 where the hardware has it, and stored as safetensors. A span with more
    pieces than the model can number is encoded in windows, where the stock model drops what is too much. States of
    other layers, attentions and the pooler's output are not given.

    Args:
        name: Folder or hub id of the checkpoint to start from. A trained pipeline does not need it any more.
        get_spans: From documents to the spans of each that are encoded by themselves.
        tokenizer_config: `use_fast` may be there, and true; nothing else.
        transformer_config: Nothing, or empty.
        mixed_precision: Compute in bfloat16 where `precision` is `auto`, whatever the hardware.
        grad_scaler_config: Nothing, or empty: bfloat16 needs no scaling of gradients.
        max_pieces: Most pieces, padding included, of one forward pass.
        precision: As for `spacy-bertft.BertEncoder.v1`, but not `"int8"`.

    Raises:
        SettingError: A setting is outside what is allowed.
        MissingExtraError: spacy-transformers is not installed.
    """
    check_precision(precision)
    if max_pieces < 1:
        raise SettingError("max_pieces", max_pieces, "a positive number of pieces")
    if (tokenizer_config or {}) not in ({}, {"use_fast": True}):
        raise SettingError("tokenizer_config", tokenizer_config, "none but use_fast = true")
    for setting, value in (("transformer_config", transformer_config), ("grad_scaler_config", grad_scaler_config)):
        if value:
            raise SettingError(setting, value, "none: it has no meaning here")
    if find_spec("spacy_transformers") is None:
        raise MissingExtraError("spacy-bertft.TransformerModel.v1", "spacy-transformers")
    from spacy_bertft.models.stock.spacy_transformers import StockTransformer

    settings = EncoderSettings(
        name=name,
        window=None,
        stride=None,
        max_pieces=max_pieces,
        precision="bf16" if mixed_precision and precision == "auto" else precision,
        backend="torch",
        frozen_layers="none",
        layer_lr_decay=1.0,
        layers="last",
        cache_mb=0,
        adapter=None,
    )
    return StockTransformer(settings, get_spans)
