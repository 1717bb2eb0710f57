"""Documents → torch → scores, and gradients back. Torch tensors do not leave this folder."""
