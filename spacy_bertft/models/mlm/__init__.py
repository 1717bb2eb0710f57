"""Masked language modeling: continue the pretraining of an encoder on texts without labels."""
