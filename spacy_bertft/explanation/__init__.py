"""Explaining predictions: how much each word of a document weighs in a category or an entity.

In: a pipeline, and a document or a file with gold annotation. Out: an `Attribution` for each prediction, which is shown
in a notebook, on a page and in a terminal. `predictions` chooses what is explained, `gradients` computes the weights.
Knows nothing of training, nor how good a pipeline is.
"""

from spacy_bertft.explanation.attribution import Attribution, render
from spacy_bertft.explanation.explain import attribute, attribute_entities
from spacy_bertft.explanation.gradients import Method

__all__ = ["Attribution", "Method", "attribute", "attribute_entities", "render"]
