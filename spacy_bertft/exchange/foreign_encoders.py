"""Encoders that spacy-transformers and spacy-curated-transformers have stored → a checkpoint in memory.

Neither package is needed, and nothing is unpickled: of what torch has saved, tensors alone are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import srsly

from spacy_bertft.checkpoints import Checkpoint, Weights
from spacy_bertft.checkpoints.checkpoint import check_vocab_size, clean_config
from spacy_bertft.checkpoints.weights import read_torch_state
from spacy_bertft.errors import CheckpointError, name_source, parse_message
from spacy_bertft.exchange.piece_encoders import convert_piece_encoder
from spacy_bertft.tokens import PieceTokenizer

# Where the weights of spacy-curated-transformers are in a model of transformers, in this order.
_RENAMED = {
    r"^curated_encoder\.": "",
    r"^embeddings\.(inner\.)?": "embeddings.",
    r"^layers\.": "encoder.layer.",
    r"\.layer_norm\.": ".LayerNorm.",
    r"\.attn_output_layernorm\.": ".attention.output.LayerNorm.",
    r"\.ffn_output_layernorm\.": ".output.LayerNorm.",
    r"\.mha\.output\.": ".attention.output.dense.",
    r"\.ffn\.(intermediate|output)\.": r".\1.dense.",
}
_FAMILIES = {
    "BertTransformer.v1": "bert",
    "RobertaTransformer.v1": "roberta",
    "XlmrTransformer.v1": "xlm-roberta",
    "CamembertTransformer.v1": "camembert",
}
CURATED = "spacy-curated-transformers."
CURATED_MODELS = {f"{CURATED}{name}": family for name, family in _FAMILIES.items()}


def read_stock_encoder(path: Path, name: str) -> Checkpoint:
    """Read the `model` file of a `transformer` of spacy-transformers.

    Args:
        path: The file.
        name: A name for the checkpoint.

    Raises:
        CheckpointError: It is damaged, or holds a slow tokenizer, or no encoder of text.
    """
    with name_source(str(path)):
        message = _read_model(path)
        files = message["tokenizer"]
        if "tokenizer.json" not in files or not files.get("kwargs", {}).get("use_fast", True):
            raise CheckpointError("Its tokenizer is a slow one. Expected a fast one, with a tokenizer.json.")
        # All settings of the tokenizer are in this file: transformers would only change them.
        tokenizer = PieceTokenizer(files["tokenizer.json"].decode("utf-8"))
        # As in a file, where all keys are text.
        config = clean_config(srsly.json_loads(srsly.json_dumps(message["config"])))
        check_vocab_size(name, config, tokenizer)
        return Checkpoint(name, config, tokenizer, _read_state(message))


def read_curated_encoder(path: Path, name: str, section: Mapping[str, Any]) -> Checkpoint:
    """Read the `model` file of a `curated_transformer` of spacy-curated-transformers.

    Args:
        path: The file.
        name: A name for the checkpoint.
        section: The config section of the model.

    Raises:
        CheckpointError: It is damaged, or not BERT, RoBERTa, XLM-RoBERTa or CamemBERT.
    """
    with name_source(str(path)):
        message = _read_model(path)
        attrs = {key: value for attrs in message["attrs"] for key, value in attrs.items()}
        names = [node["name"] for node in message["nodes"]]
        tokenizer = PieceTokenizer(convert_piece_encoder(attrs, names))
        weights = dict(_rename(_read_state(message)))
        config = _describe(section, weights)
        check_vocab_size(name, config, tokenizer)
        return Checkpoint(name, config, tokenizer, weights)


def read_mix(content: bytes) -> Weights:
    """Read what spacy-curated-transformers has stored of a mean over all layers, under the names of `ScalarMix`.

    Raises:
        CheckpointError: It is damaged.
    """
    with name_source("the mean over all layers"):
        weights = _read_state(parse_message(content))
        return {"weights": weights["layer_weights"], "scale": weights["scale"].reshape(())}


def _read_model(path: Path) -> dict[str, Any]:
    """Read what thinc has stored of a model with one torch module."""
    message = parse_message(path.read_bytes())
    [shim] = [parse_message(shim) for shims in message["shims"] for shim in shims]
    return message | shim


def _read_state(message: Mapping[str, Any]) -> Weights:
    if not message["state"]:
        raise CheckpointError("It holds no weights. Expected a trained pipeline.")
    return read_torch_state(BytesIO(message["state"]), "Its state")


def _rename(weights: Weights) -> Iterator[tuple[str, Any]]:
    """Give weights the names of transformers; those of query, key and value are one tensor."""
    for name, tensor in weights.items():
        for pattern, replacement in _RENAMED.items():
            name = re.sub(pattern, replacement, name)
        if ".mha.input." in name:
            for part, each in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                yield name.replace(".mha.input.", f".attention.self.{part}."), each
        else:
            yield name, tensor


def _describe(section: Mapping[str, Any], weights: Weights) -> dict[str, Any]:
    """Describe a model as its `config.json` would: sizes are those of the weights, the rest is in the config."""
    family = CURATED_MODELS[section["@architectures"]]
    vocab, positions, types = (
        weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
    )
    is_bert = family == "bert"
    return {
        "model_type": family,
        "vocab_size": len(vocab),
        "hidden_size": vocab.shape[1],
        "num_hidden_layers": sum(name.endswith("attention.self.query.weight") for name in weights),
        "num_attention_heads": section.get("num_attention_heads", 12),
        "intermediate_size": len(weights["encoder.layer.0.intermediate.dense.weight"]),
        "hidden_act": section.get("hidden_act", "gelu"),
        "hidden_dropout_prob": section.get("hidden_dropout_prob", 0.1),
        "attention_probs_dropout_prob": section.get("attention_probs_dropout_prob", 0.1),
        "max_position_embeddings": len(positions),
        "type_vocab_size": len(types),
        "layer_norm_eps": section.get("layer_norm_eps", 1e-12 if is_bert else 1e-5),
        "pad_token_id": section.get("padding_idx", 0 if is_bert else 1),
    }
