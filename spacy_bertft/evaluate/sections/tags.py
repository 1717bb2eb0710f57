"""What `bert_tagger` has to show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from spacy.training import Example

from spacy_bertft.components.tagger import BertTagger
from spacy_bertft.evaluate.confusion import count_confusions
from spacy_bertft.evaluate.counts import Answer, count_answers, count_shares
from spacy_bertft.evaluate.sections.section import Level, Section


def measure_tags(name: str, pipe: BertTagger, examples: Sequence[Example]) -> Section:
    """Measure the tags that a component gives.

    Args:
        name: Its name.
        pipe: The component.
        examples: Annotated by the pipeline.
    """
    docs = [_pair(example) for example in examples]
    pairs = [pair for doc in docs for pair in doc or ()]
    tags = sorted({tag for pair in pairs for tag in pair if tag} | set(pipe.labels))
    strange = sorted(set(tags) - set(pipe.labels))
    notes = [f"Gold tags that the component does not know: {', '.join(strange)}."] if strange else []
    return Section(
        component=name,
        factory="bert_tagger",
        kind="tags",
        levels=(
            Level(
                "tags",
                count_answers(tags, docs),
                count_shares([None if doc is None else [gold == tag for gold, tag in doc] for doc in docs]),
                "tokens with the right tag",
            ),
        ),
        confusion=count_confusions(tags, pairs, has_nothing=any(predicted is None for _, predicted in pairs)),
        kinds_by_label={},
        probs=np.zeros(0),
        is_right=np.zeros(0, dtype=np.bool_),
        mistakes=(),
        notes=("The component gives no probabilities, so there is nothing to say of its surest mistakes.", *notes),
    )


def _pair(example: Example) -> list[Answer] | None:
    """Pair the tags of the tokens whose gold tag is known and which are cut alike; nothing where there are none."""
    gold = example.get_aligned("TAG", as_string=True)
    pairs: list[Answer] = [(tag, token.tag_ or None) for tag, token in zip(gold, example.predicted, strict=True) if tag]
    return pairs or None
