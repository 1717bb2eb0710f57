"""Training as `spacy train` does it, resumable after a kill to the same result, bit for bit.

In: a config, or the directory of an interrupted training. Out: pipelines, and at each evaluation a snapshot of weights,
optimizer, random numbers and past scores. Knows spaCy's training loop; knows no architecture.

```
 batches ─── DataOrder ──┐
             (own random │        spaCy's own steps,           ┌── model-last, model-best
              numbers)   ├── Replay ── schedules, patience ────┤    (complete or absent)
 dev set ── evaluate ────┘      │                              └── snapshot ─┐
                                └──── until its step, nothing is learned ────┘
```

To resume, spaCy's loop runs from its first step with empty batches and the past scores, so that schedules, patience and
the order of the data are where they were; then optimizer and random numbers are put back.
"""

from spacy_bertft.resuming.run import resume, train

__all__ = ["resume", "train"]
