"""How to learn: batches, optimizer, which layers move."""
