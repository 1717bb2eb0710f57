"""Scores of entities: their probabilities in `span._.bertft_score`, and precision, recall and F1.

spaCy keeps values of `span._` in `doc.user_data` by name and characters, so they survive retokenization, `doc.copy()`,
`Doc.from_docs`, `Span.as_doc(copy_user_data=True)`, `doc.to_json(underscore=["bertft_score"])` and
`DocBin(store_user_data=True)`. Ours are kept under that key too, as a map from labels to probabilities: entities with
different labels may have the same characters.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from spacy.scorer import get_ner_prf
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example

from spacy_bertft.data.char_spans import CharSpanGroup, read_char_spans
from spacy_bertft.tags.schemes import TagSpan, write_tags

Scorer = Callable[..., dict[str, Any]]

ATTRIBUTE = "bertft_score"
_SOURCE = "spacy-bertft"  # tells our span groups from those of other components, such as spancat


def register_score(name: str = ATTRIBUTE) -> None:
    """Register the extension attribute of entity scores.

    Args:
        name: Another name, such as `score`, for `span._.bertft_score`. If it is taken, it is left alone, and a warning
            says so.
    """
    if name == ATTRIBUTE:
        Span.set_extension(name, getter=find_score, setter=set_score, force=True)
    else:
        register(Span, name, f"the scores of entities from span._.{ATTRIBUTE}", find_score, setter=set_score)


def register(kind: type[Doc | Span], name: str, source: str, getter: Callable[..., Any], **more: Any) -> None:
    """Register an extension attribute.

    One of that name which another package or the user's code has registered is left alone, and a warning says so.

    Args:
        kind: `Doc` or `Span`.
        name: Its name.
        source: What else to read, and where from.
        getter: Returns its value.
        more: What else spaCy is to know of it.
    """
    if not kind.has_extension(name):
        kind.set_extension(name, getter=getter, **more)
    elif (taken := kind.get_extension(name)[2]) is None or _unwrap(taken) is not _unwrap(getter):
        warnings.warn(
            f"{kind.__name__.lower()}._.{name} is already registered by another package or your own code, and is left "
            f"as it is. Read {source}.",
            stacklevel=3,
        )


def _unwrap(getter: Any) -> Any:
    return getattr(getter, "func", getter)


def find_score(span: Span) -> float | None:
    """Return the probability of an entity, or None for a span that no component of ours has found.

    A `DocBin` without user data still has the scores in `doc.spans[<component>]`.
    """
    by_label = span.doc.user_data.get(_make_key(span.start_char, span.end_char))
    if isinstance(by_label, dict) and span.label_ in by_label:
        return by_label[span.label_]
    wanted = span.start_char, span.end_char, span.label
    for group in filter(is_ours, span.doc.spans.values()):
        for found, prob in zip(read_char_spans(group), group.attrs["scores"], strict=False):
            if (found.char_start, found.char_end, found.label) == wanted:
                return float(prob)
    return None


def find_scores(doc: Doc, spans: Iterable[Span], components: Iterable[str]) -> list[float | None]:
    """Return the probability of each of some spans of a document, as `find_score` does.

    What one of these components says goes before what another one does, which may have found the same span.
    """
    groups = [doc.spans[name] for name in components if name in doc.spans]
    pairs = (pair for group in groups for pair in zip(group, group.attrs.get("scores", ()), strict=False))
    own = {(span.start, span.end, span.label): prob for span, prob in pairs}
    return [own.get((span.start, span.end, span.label), find_score(span)) for span in spans]


def set_score(span: Span, score: float | Mapping[str, float] | None) -> None:
    """Set the score of a span for its label; None for no score.

    Args:
        span: The span.
        score: Its score, or those of all labels for these characters, as `Doc.from_json` restores them.
    """
    key = _make_key(span.start_char, span.end_char)
    if isinstance(score, Mapping):
        span.doc.user_data[key] = dict(score)
    else:
        span.doc.user_data.setdefault(key, {})[span.label_] = score


def write_entities(doc: Doc, name: str, entities: Sequence[tuple[Span, float]]) -> None:
    """Write the entities that a component has found, with their scores, to `doc.spans[name]` and `span._.bertft_score`.

    Args:
        doc: The document.
        name: Name of the component. What it wrote to this document before is replaced.
        entities: Its entities, with their probabilities.
    """
    _remove_scores(doc, name)
    doc.spans[name] = CharSpanGroup(
        doc,
        name=name,
        attrs={"scores": [prob for _, prob in entities], "source": _SOURCE},
        spans=[span for span, _ in entities],
    )
    names = {label: doc.vocab.strings[label] for label in {span.label for span, _ in entities}}  # span.label_ is slow
    for span, prob in entities:
        doc.user_data.setdefault(_make_key(span.start_char, span.end_char), {})[names[span.label]] = prob


def read_entities(doc: Doc, name: str) -> set[tuple[int, int, int]]:
    """Read what a component wrote to `doc.spans[name]` before, by character bounds and hash of the label."""
    if name not in doc.spans or not is_ours(doc.spans[name]):
        return set()
    return {(span.char_start, span.char_end, span.label) for span in read_char_spans(doc.spans[name])}


def _remove_scores(doc: Doc, name: str) -> None:
    for char_start, char_end, label in read_entities(doc, name):
        key = _make_key(char_start, char_end)
        by_label = doc.user_data.get(key, {})
        by_label.pop(doc.vocab.strings[label], None)
        if not by_label:
            doc.user_data.pop(key, None)


def is_ours(group: SpanGroup) -> bool:
    """Tell whether a component of ours has written a group."""
    return group.attrs.get("source") == _SOURCE and isinstance(group.attrs.get("scores"), list)


def _make_key(char_start: int, char_end: int) -> Any:
    """Make the key of spaCy for values of `span._`, which its type annotations do not know."""
    return "._.", ATTRIBUTE, char_start, char_end


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
    is_right = [
        gold == predicted
        for example in examples
        if example.reference.has_annotation("ENT_IOB")
        for gold, predicted in pair_token_tags(example, example.reference.ents, example.predicted.ents)
    ]
    scores["ents_token_f"] = sum(is_right) / len(is_right) if is_right else None
    return scores


def pair_token_tags(example: Example, gold: Sequence[Span], predicted: Sequence[Span]) -> list[tuple[str, str]]:
    """Pair the BIO tags of the gold tokens with the predicted ones, an empty tag outside entities.

    Tokens of which the annotation says nothing are left out.

    Args:
        example: Whose tokens.
        gold: Entities of its reference.
        predicted: Entities of its predicted document.
    """
    gold_tags, predicted_tags = (
        write_tags([TagSpan(span.start, span.end, span.label_) for span in spans], len(example.reference))
        for spans in (gold, example.get_aligned_spans_x2y(predicted))
    )
    rows = zip(example.reference, gold_tags, predicted_tags, strict=True)
    return [(left.removeprefix("O"), right.removeprefix("O")) for token, left, right in rows if token.ent_iob]
