"""Column files (BIO, CoNLL) → Docs with entities or tags.

The steps, each in a module of its own: `sentences` (in the `layout` of the file) → `gold` (tags read as spans) →
`docs`. `convert` writes the Docs, `split` in parts; `reader` trains from them.
"""
