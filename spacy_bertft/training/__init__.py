"""How to learn: batches, augmentation, the optimizer, which layers learn, temperature scaling.

In: examples, parameters, probabilities. Out: batches, steps, temperatures. It must not know models or components.
"""
