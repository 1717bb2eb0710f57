"""Which texts to label next: those that a pipeline is unsure of, and that differ from each other.

The steps, each in a module of its own: `uncertainty` measures, `candidates` keeps the most uncertain texts, `diversity`
picks among them, `preannotation` says what the pipeline would answer, `formats` writes it for an annotation tool.
"""
