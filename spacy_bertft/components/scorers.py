"""Scores of entities: strict spans, and the token-level figure that notebooks report beside them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from spacy.scorer import get_ner_prf
from spacy.tokens import Span
from spacy.training import Example

Scorer = Callable[..., dict[str, Any]]


def configure_entity_scorer() -> Scorer:
    """Configure `spacy-bertft.entity_scorer.v1`: spaCy's entity scores and `ents_token_f`."""
    return score_entities


def score_entities(examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
    """Score the entities of a batch of examples.

    Returns:
        `ents_p`, `ents_r`, `ents_f`, `ents_per_type`: strict, a span counts when both ends and its label are right.
        `ents_token_f`: micro F1 over the BIO tags of all gold tokens, `O` among them. As every token has one gold tag
        and one predicted tag, micro precision, recall, F1 and accuracy are all the same number.
    """
    examples = list(examples)
    scores: dict[str, Any] = get_ner_prf(examples, **kwargs)
    scores["ents_token_f"] = _score_tokens(examples)
    return scores


def _score_tokens(examples: list[Example]) -> float | None:
    n_right = n_known = 0
    for example in examples:
        if example.reference.has_annotation("ENT_IOB"):
            tags = pair_token_tags(example, example.reference.ents, example.predicted.ents)
            n_right += sum(gold == predicted for gold, predicted in tags)
            n_known += len(tags)
    return n_right / n_known if n_known else None


def pair_token_tags(example: Example, gold: Sequence[Span], predicted: Sequence[Span]) -> list[tuple[str, str]]:
    """Pair the BIO tags of the gold tokens with the predicted ones, an empty tag outside entities.

    Tokens of which the annotation says nothing are left out.

    Args:
        example: Whose tokens.
        gold: Entities of its reference.
        predicted: Entities of its predicted document.
    """
    n_tokens = len(example.reference)
    gold_tags, predicted_tags = (_spell(spans, n_tokens) for spans in (gold, example.get_aligned_spans_x2y(predicted)))
    rows = zip(example.reference, gold_tags, predicted_tags, strict=True)
    return [(left, right) for token, left, right in rows if token.ent_iob]


def _spell(spans: Iterable[Span], n_tokens: int) -> list[str]:
    tags = [""] * n_tokens
    for span in spans:
        tags[span.start : span.end] = [f"I-{span.label_}"] * (span.end - span.start)
        tags[span.start] = f"B-{span.label_}"
    return tags
