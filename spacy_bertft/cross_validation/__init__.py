"""Cross-validation: how good a recipe is, and what it predicts of each document without having seen it.

In: a config of spaCy. Out: a pipeline for each fold, which can be the teachers of `distillation`; predictions for all
documents, by which `audit` finds errors in their labels; scores with their spread. Knows configs and pipelines; knows
no architecture.
"""

from spacy_bertft.cross_validation.crossval import CrossvalReport, crossval

__all__ = ["CrossvalReport", "crossval"]
