"""Labelled texts (CSV, TSV, JSONL) → Docs with categories.

`rows` reads the columns that the `options` name, `labels` understands the labels, and `convert` writes Docs. Nothing
here knows column files.
"""
