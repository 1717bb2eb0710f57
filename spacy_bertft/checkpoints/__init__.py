"""Hugging Face folders ↔ configuration, tokenizer, weights and head in memory. What is written is safetensors."""

from spacy_bertft.checkpoints.checkpoint import (
    Checkpoint,
    check_vocab_size,
    read_checkpoint,
    read_config,
    read_tokenizer,
    write_checkpoint,
)
from spacy_bertft.checkpoints.config import check_padding, clean_config, find_max_positions, find_window_size
from spacy_bertft.checkpoints.heads import (
    NEVER,
    Activation,
    CheckpointHead,
    HeadLayout,
    Task,
    describe_head,
    find_head_layout,
    find_task,
    read_head,
)
from spacy_bertft.checkpoints.source import MODEL_CARD, check_replaceable, copy_checkpoint, find_checkpoint_dir
from spacy_bertft.checkpoints.weights import (
    Weights,
    load_weights,
    name_some,
    read_weight_file,
    weights_from_bytes,
    weights_to_bytes,
    write_weight_file,
)

__all__ = [
    "MODEL_CARD",
    "NEVER",
    "Activation",
    "Checkpoint",
    "CheckpointHead",
    "HeadLayout",
    "Task",
    "Weights",
    "check_padding",
    "check_replaceable",
    "check_vocab_size",
    "clean_config",
    "copy_checkpoint",
    "describe_head",
    "find_checkpoint_dir",
    "find_head_layout",
    "find_max_positions",
    "find_task",
    "find_window_size",
    "load_weights",
    "name_some",
    "read_checkpoint",
    "read_config",
    "read_head",
    "read_tokenizer",
    "read_weight_file",
    "weights_from_bytes",
    "weights_to_bytes",
    "write_checkpoint",
    "write_weight_file",
]
