"""Evaluation: how good a pipeline is on documents with gold annotation.

In: trained pipelines and `.spacy` files. Out: an `Evaluation` with what was measured of each component; `report`
renders it as a page, `calibrate` fits temperatures on gold annotation, and `guarantee` thresholds. Entities and numbers
are measured in modules of their own, all other predictions in `categories`. Knows nothing of training loops and models.
"""
