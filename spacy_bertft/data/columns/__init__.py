"""Column files (BIO, CoNLL, CoNLL-U) → Docs with entities or tags.

The steps, each in a module of its own: `detection` finds the `layout` of a file in a `sample` of it and by the `names`
of its columns; `sentences` → `gold` (tags read as spans) → `docs`. `convert` writes the Docs, `split` in parts;
`reader` trains from them.
"""
