"""Pipelines from Hugging Face checkpoints, and checkpoints from pipelines."""
