"""How good the tags of a component are."""

from __future__ import annotations

from collections.abc import Sequence

from spacy.training import Example

from spacy_bertft.components.tagger import BertTagger
from spacy_bertft.evaluation.confusion import count_confusions
from spacy_bertft.evaluation.counts import Pair, count_pairs, count_shares
from spacy_bertft.evaluation.results import ComponentResult, Level


def measure_tags(name: str, pipe: BertTagger, examples: Sequence[Example]) -> ComponentResult:
    """Measure the tags that a component has given.

    Args:
        name: Its name.
        pipe: The component.
        examples: Annotated by the pipeline.
    """
    docs: list[list[Pair] | None] = [
        [(each.gold, each.label or None) for each in pipe.list_predictions(example) if each.gold] or None
        for example in examples
    ]
    pairs = [pair for doc in docs for pair in doc or ()]
    tags = sorted({tag for pair in pairs for tag in pair if tag} | set(pipe.labels))
    unknown = sorted(set(tags) - set(pipe.labels))
    is_correct = [None if doc is None else [gold == tag for gold, tag in doc] for doc in docs]
    return ComponentResult(
        component=name,
        factory="bert_tagger",
        kind="tags",
        levels=(Level("tags", count_pairs(tags, docs), count_shares(is_correct), "Tokens with the correct tag"),),
        confusion=count_confusions(tags, pairs, has_none=any(predicted is None for _, predicted in pairs)),
        notes=(f"gold tags that the component does not know: {', '.join(unknown)}",) if unknown else (),
    )
