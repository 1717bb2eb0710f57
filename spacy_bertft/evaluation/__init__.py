"""Evaluation: how good a pipeline is on documents with gold annotation.

In: trained pipelines and `.spacy` files. Out: an `Evaluation` with what was measured of each component; `report`
renders it as a page, and `calibrate` fits temperatures on it. Each kind of prediction has a module: `entities`,
`categories`, `tags`. Knows nothing of training loops and models.
"""
