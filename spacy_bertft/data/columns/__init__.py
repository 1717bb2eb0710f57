"""Column files (BIO, CoNLL, CoNLL-U) → Docs with entities or tags.

`detection` finds the `layout` of a file; `gold` reads sentences and their spans; `convert` writes them as Docs, and
`reader` trains from them without a conversion. Nothing here knows labelled texts.
"""
