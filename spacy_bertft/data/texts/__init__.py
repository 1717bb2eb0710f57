"""Labelled texts (CSV, TSV, JSONL) → Docs with categories.

The steps, each in a module of its own: `delimited` or `jsonl`, both into `rows` → `gold` (labels read as `cats`) →
`docs`. `convert` writes the Docs, in parts that `stratify` chooses.
"""
