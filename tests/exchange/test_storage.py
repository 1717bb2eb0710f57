"""Weights of encoders in other number formats: what is written, and what comes of it."""

from __future__ import annotations

import pytest
import spacy
import srsly
import torch
from small_checkpoints import FAMILIES, MORE_FAMILIES, TEXTS

from spacy_bertft.checkpoints.weights import weights_from_bytes
from spacy_bertft.errors import SettingError
from spacy_bertft.exchange.package import store_encoder
from spacy_bertft.models.encoder.build import build_bert_encoder

DOCS = [spacy.blank("en").make_doc(text) for text in TEXTS]


def build(name: str, precision: str):
    return build_bert_encoder(name, precision=precision)


@pytest.mark.parametrize("family", [*FAMILIES, *MORE_FAMILIES])
@pytest.mark.parametrize("precision", ["bf16", "fp16", "fp32"])
def test_what_is_read_is_float32_again(family, precision, checkpoints):
    encoder, again = (build(str(checkpoints(family)), "bf16") for _ in range(2))
    encoder.initialize()
    content = encoder.to_bytes()
    with store_encoder(encoder, precision):
        stored = encoder.to_bytes()
    assert encoder.to_bytes() == content
    assert (len(stored) == len(content)) == (precision == "fp32")
    again.from_bytes(stored)
    for (name, parameter), whole in zip(again.module.named_parameters(), encoder.module.parameters(), strict=True):
        assert parameter.dtype == torch.float32, name
        assert parameter.requires_grad, name
        torch.testing.assert_close(parameter, whole, rtol=2**-8, atol=1e-7)
    if precision == "bf16":
        assert torch.equal(again.predict(DOCS).vectors["tokens"], encoder.predict(DOCS).vectors["tokens"])


def test_the_format_is_that_of_the_bytes(checkpoint):
    encoder = build(checkpoint, "fp32")
    encoder.initialize()
    with store_encoder(encoder, "bf16"):
        message = srsly.msgpack_loads(encoder.shim.to_bytes())
    kinds = {tensor.dtype for tensor in weights_from_bytes(message["weights"]).values() if tensor.is_floating_point()}
    assert kinds == {torch.bfloat16}


def test_errors(checkpoint):
    encoder = build(checkpoint, "fp32")
    encoder.initialize()
    with pytest.raises(SettingError, match="fp32, bf16, fp16"), store_encoder(encoder, "int8"):
        pass
    encoder.module.bert.get_input_embeddings().weight.data[5, 5] = 1e5
    with pytest.raises(SettingError, match="as large as 100000"), store_encoder(encoder, "fp16"):
        pass
    with store_encoder(encoder, "bf16"):
        assert encoder.shim.stored_dtype == torch.bfloat16
    assert encoder.shim.stored_dtype is None
