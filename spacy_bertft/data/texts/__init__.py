"""Labelled texts → Docs with categories, entities or groups of spans.

`rows` knows the reader of each format: tables and JSON are read by `records` next to this package, `tools` unifies the
JSON of annotation tools, and `formats` reads files that name no fields. `labels` and `spans` understand what the fields
hold, `docs` makes Docs of it, and `convert` writes these. Nothing here knows column files.
"""
