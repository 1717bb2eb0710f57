"""Fine-tuned BERT in a spaCy pipeline.

Importing this package costs nothing: spaCy finds the components through the entry points in `pyproject.toml`.
"""
