"""Column files (BIO, CoNLL, CoNLL-U) → Docs with entities or tags.

`detection` finds the `layout` of a file; `gold` reads sentences and their spans; `docs` makes Docs of them, which
`convert` writes, and `reader` trains from without a conversion. Nothing here knows labelled texts.
"""
