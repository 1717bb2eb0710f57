"""Distillation: a small model learns from gold annotation and from what one or several others say of the texts.

In: a config of spaCy, teachers, texts with and without labels. Out: a trained pipeline, and what the teachers say, on a
disk. Knows components that tag tokens or classify texts; knows no architecture.
"""

from spacy_bertft.distillation.distill import distill

__all__ = ["distill"]
