"""Why this answer: how much each word of a document weighs in a category or an entity.

`answers` finds what is to be explained, `explain` has it weighed, `judged` picks right and wrong answers of annotated
documents; `fragment` and `page` draw the words, shaded by weight, as displaCy draws entities.
"""

from spacy_bertft.explain.attribution import Attribution, Method
from spacy_bertft.explain.explain import attribute, attribute_entities
from spacy_bertft.explain.fragment import render

__all__ = ["Attribution", "Method", "attribute", "attribute_entities", "render"]
