"""Training as `spacy train` does it, which goes on where it was killed, to the same result bit for bit.

```
 batches ─── DataOrder ──┐
             (own random │        spaCy's own steps,           ┌── model-last, model-best
              numbers)   ├── Replay ── schedules, patience ────┤    (whole or not there)
 dev set ── evaluate ────┘      │                              └── snapshot ─┐
                                └──────── until its step, nothing is learned ┘
```

A snapshot holds weights, moments, random numbers and past scores. To resume, spaCy's loop runs from its first step with
empty batches and the scores of the past, so that schedules, patience and the order of the data come to be where they
were; then moments and random numbers are put back.
"""

from spacy_bertft.resume.run import resume, train

__all__ = ["resume", "train"]
