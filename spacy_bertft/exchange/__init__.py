"""Pipelines ↔ other forms: Hugging Face checkpoints, installable packages, pipelines of other packages; pretraining.

In: a pipeline, a checkpoint or texts. Out: a directory, written atomically, and a report that says what is in it. Knows
nothing of how a head or an encoder computes.
"""
