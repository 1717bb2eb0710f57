"""Labelled texts → Docs with categories, entities or groups of spans.

`rows` knows the reader of each format: tables and JSON are read by `records` next to this package, `tools` unifies the
JSON of annotation tools, `standoff` reads files that have annotations next to a text, and `unnamed` those that name no
columns. `labels` understands labels; `convert` writes Docs with categories, and `spans` those with spans. Nothing here
knows column files.
"""
