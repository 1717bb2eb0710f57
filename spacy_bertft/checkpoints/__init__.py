"""Hugging Face directories ↔ configuration, tokenizer, weights and head in memory.

In: a directory, a hub id or a packaged checkpoint. Out: `Checkpoint`, `CheckpointHead`; what is written is safetensors.
Knows names of files and tensors; builds no model.
"""

from spacy_bertft.checkpoints.checkpoint import Checkpoint, read_checkpoint, read_tokenizer, write_checkpoint
from spacy_bertft.checkpoints.heads import CheckpointHead, Task, read_head
from spacy_bertft.checkpoints.source import copy_checkpoint, find_checkpoint_dir
from spacy_bertft.checkpoints.weights import Weights

__all__ = [
    "Checkpoint",
    "CheckpointHead",
    "Task",
    "Weights",
    "copy_checkpoint",
    "find_checkpoint_dir",
    "read_checkpoint",
    "read_head",
    "read_tokenizer",
    "write_checkpoint",
]
