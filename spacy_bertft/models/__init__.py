"""Documents → torch → scores, and gradients back. Torch tensors do not leave this package.

`runtime` runs torch, `store` writes and reads weights, `encoder` gives states, and `heads`, `mlm` and `stock` use them.
"""
