"""Scores of entities: strict spans, and the token-level figure that notebooks report beside them."""

from collections.abc import Callable, Iterable
from typing import Any

from spacy.scorer import get_ner_prf
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
        if not example.reference.has_annotation("ENT_IOB"):
            continue
        predicted = [""] * len(example.reference)
        for span in example.get_aligned_spans_x2y(example.predicted.ents):
            predicted[span.start : span.end] = [f"I-{span.label_}"] * (span.end - span.start)
            predicted[span.start] = f"B-{span.label_}"
        for token, tag in zip(example.reference, predicted, strict=True):
            if token.ent_iob == 0:
                continue
            gold = f"{token.ent_iob_}-{token.ent_type_}" if token.ent_type else ""
            n_right += tag == gold
            n_known += 1
    return n_right / n_known if n_known else None
