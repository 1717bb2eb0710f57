"""Hugging Face folders ↔ configuration, tokenizer and weights in memory. Safetensors only."""

from .checkpoint import Checkpoint, read_checkpoint, read_config, read_tokenizer
from .config import clean_config, find_max_positions
from .source import copy_checkpoint, find_checkpoint_dir, read_first_line
from .weights import (
    Weights,
    load_weights,
    read_weight_file,
    weights_from_bytes,
    weights_to_bytes,
    write_weight_file,
)

__all__ = [
    "Checkpoint",
    "Weights",
    "clean_config",
    "copy_checkpoint",
    "find_checkpoint_dir",
    "find_max_positions",
    "load_weights",
    "read_checkpoint",
    "read_config",
    "read_first_line",
    "read_tokenizer",
    "read_weight_file",
    "weights_from_bytes",
    "weights_to_bytes",
    "write_weight_file",
]
