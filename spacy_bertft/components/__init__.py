"""spaCy's components: documents → `doc.ents`, `token.tag_`, `doc.cats`; gold annotation → what a head may learn from.

In: documents and examples. Out: annotation, and `predictions.Prediction`, the record of what was predicted
and whether it is correct. No torch: arrays are numpy's, and losses are the heads'.
"""
