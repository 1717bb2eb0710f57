"""What cuts texts into pieces for an encoder, and how many of them go into a window."""

from __future__ import annotations

from typing import Any

from spacy.tokens import Doc
from thinc.api import Model

from ..pieces import PieceTokenizer
from .encoder import EncoderSettings, find_window
from .shared_encoder import SharedEncoder
from .shim import get_shim


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
