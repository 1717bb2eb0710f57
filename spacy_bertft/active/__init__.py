"""Active learning: which texts to label next, those that a pipeline is uncertain about and that differ from each other.

`survey` measures the `uncertainty` of a stream of texts and keeps the most uncertain ones, `diversity` picks among
them, and `formats` writes them and what the pipeline predicts for them for an annotation tool. Nothing
here knows how a component computes its predictions.
"""
