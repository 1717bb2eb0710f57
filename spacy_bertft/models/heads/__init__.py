"""Token and text heads: states → scores, a loss and its backward pass.

In: what an encoder makes of documents, and in training what the gold annotation allows. Out: scores, and gradients. It
must not know `doc.ents` or `doc.cats`.
"""
