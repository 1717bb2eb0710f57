"""A small random model of every class of transformers that classifies, answers questions or chooses endings."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import torch
from small_checkpoints import make_word_level
from transformers import AutoConfig
from transformers.models.auto import modeling_auto

NAMES = {
    "token": modeling_auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
    "text": modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
}
SPAN_NAMES = modeling_auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES
CHOICE_NAMES = modeling_auto.MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES
_CLASSES = {
    "choice": modeling_auto.MODEL_FOR_MULTIPLE_CHOICE_MAPPING,
    "span": modeling_auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING,
    "token": modeling_auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    "text": modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
}
LABELS = {
    "choice": ["choice"],
    "span": ["start", "end"],
    "token": ["O", "B-X", "I-X"],
    "text": ["film", "person", "other"],
}

# Classes of which no small model can be built here. Only these are left out; each is checked to be still like that.
NOT_BUILT = {
    "layoutlmv2": "requires the detectron2 library",
    "qdqbert": "requires the pytorch-quantization library",
}
_MOST_PARAMETERS = 5_000_000

# The fields of a configuration that make a model large, with the value that makes it small.
_SMALL = [
    (r"(^|_)(n_|num_)?(hidden_|encoder_|decoder_)?layers?$", 2),
    (r"(^|_)(n_|num_)?(encoder_|decoder_)?(attention_|key_value_|kv_)?heads?$|^multi_query_group_num$", 2),
    (r"^(hidden_size|d_model|dim|n_embd|emb_dim|word_embed_proj_dim|d_latents|input_dim|output_dim)$", 16),
    (r"^(embedding_size|input_embedding_size|output_embedding_size|d_embed)$", 16),
    (r"intermediate_size$|^(d_ff|ffn_dim|hidden_dim|n_inner|d_inner|ffn_hidden_size)$|_ffn_dim$", 24),
    (r"^(head_dim|d_head|d_kv|attention_head_size|v_head_dim|qk_nope_head_dim|kv_channels)$", 8),
    (r"^(qk_rope_head_dim|rotary_dim|num_latents)$", 4),
    (r"_lora_rank$", 8),
    (r"^(max_position_embeddings|n_positions|n_ctx|max_seq_len)$", 64),
    (r"experts$", 4),
    (r"^(vocab_size|entity_vocab_size|pronunciation_vocab_size|shape_vocab_size)$", 40),
    (r"_embed_dim$|^entity_emb_size$", 8),
    (r"^(pad_token_id)$", 0),
    (r"^(bos_token_id|cls_token_id)$", 1),
    (r"^(eos_token_id|sep_token_id)$", 2),
]
# What a family needs besides.
_FIELDS: dict[str, dict[str, Any]] = {
    "cohere_compass_text": {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e4}}},
    "esm": {"vocab_size": 40, "position_embedding_type": "rotary"},
    "gpt_neo": {"attention_types": [[["global"], 2]], "attention_layers": ["global", "global"]},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "ministral": {"head_dim": 8},
    "nemotron": {"head_dim": 8, "num_key_value_heads": 2},
    "reformer": {"axial_pos_embds": False},
    "transfo-xl": {"cutoffs": [], "div_val": 1, "d_embed": 16},
    "zamba": {"num_hidden_layers": 3},
    "zamba2": {"num_hidden_layers": 3},
}


def make_config(family: str, task: str, **changes: Any) -> Any:
    """Make the configuration of a small model with a head of three outputs."""
    fields = _shrink(AutoConfig.for_model(family).to_dict()) | _FIELDS.get(family, {}) | changes
    labels = dict(enumerate(LABELS[task]))
    return AutoConfig.for_model(family, **fields, id2label=labels, label2id={v: k for k, v in labels.items()})


def make_model(family: str, task: str, **changes: Any) -> Any:
    """Make a small random model; its weights are large enough that everything in it changes the logits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that transformers is about to drop, or that torch warns of
        config = make_config(family, task, **changes)
        made: Any = _CLASSES[task][type(config)]
        with torch.device("meta"):
            n_parameters = sum(parameter.numel() for parameter in made(config).parameters())
        assert n_parameters <= _MOST_PARAMETERS, f"{family} is not small: {n_parameters:,}"
        torch.manual_seed(0)
        model = made(config).eval()
    std = 0.1 if family == "mobilebert" else 0.3  # which does not keep its states small by a norm
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=std)
        elif parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def save_model(model: Any, folder: Path) -> Path:
    """Save a model with a tokenizer of single letters."""
    # As copies: of weights that a model of Zamba shares, transformers 4.53 cannot tell which to save.
    model.save_pretrained(folder, state_dict={name: tensor.clone() for name, tensor in model.state_dict().items()})
    make_word_level().save(str(folder / "tokenizer.json"))
    return folder


def _shrink(fields: dict[str, Any]) -> dict[str, Any]:
    """Return small values for those fields that have large ones, at any depth."""
    small: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict) and "model_type" in value:
            small[name] = value | _shrink(value)
        elif name == "layer_types" and isinstance(value, list):
            small[name] = sorted(set(value))[:2] if len(set(value)) > 1 else value[:2]
        elif name == "layers_block_type" and isinstance(value, list):  # of Zamba: one block of Mamba, two others
            small[name] = [max(value), min(value), min(value)]
        elif type(value) is int:
            for pattern, size in _SMALL:
                if re.search(pattern, name):
                    small[name] = size
    return small
