"""Tag scores → the best valid tag sequence, its spans and their probabilities; spans ↔ tags. Numpy only.

In: scores of tags, `(T, L)`, or tags as text. Out: paths, spans, probabilities, a loss and its gradient. It must not
know documents, models or files.
"""
