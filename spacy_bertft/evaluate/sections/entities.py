"""What `bert_ner` has to show: entities, and the tags of tokens."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_bertft.components.entity_scores import pair_token_tags
from spacy_bertft.components.ner import BertNer
from spacy_bertft.evaluate.confusion import count_confusions
from spacy_bertft.evaluate.counts import Answer, count_answers, count_shares
from spacy_bertft.evaluate.entity_errors import KINDS, EntityKind, EntityMatch, match_entities
from spacy_bertft.evaluate.sections.section import Excerpt, Level, Mistake, Section, cut_excerpt, pick_surest
from spacy_bertft.pictures.entities import Mark
from spacy_bertft.tags.schemes import TagSpan

_OUTSIDE = ""


class _Found(NamedTuple):
    """The entities of one document, in the tokens of the gold annotation; predicted ones with their probability."""

    example: Example
    gold: list[TagSpan]
    gold_spans: list[Span]
    predicted: list[TagSpan]
    spans: list[Span]
    probs: list[float]
    matches: list[EntityMatch]


def measure_entities(
    name: str, pipe: BertNer, examples: Sequence[Example], elsewhere: Collection[str], n_mistakes: int
) -> Section:
    """Measure the entities that a component has found.

    Args:
        name: Its name.
        pipe: The component.
        examples: Annotated by the pipeline.
        elsewhere: Labels that other components are for; gold entities with these are left out.
        n_mistakes: How many mistakes to show.
    """
    docs = [_find(name, example, elsewhere) for example in examples]
    known = [doc for doc in docs if doc]
    labels = sorted({span.label for doc in known for span in (*doc.gold, *doc.predicted)} | set(pipe.labels))
    tokens = [doc and pair_token_tags(doc.example, doc.gold_spans, doc.spans) for doc in docs]
    tags = sorted({tag for doc in tokens for pair in doc or () for tag in pair} - {_OUTSIDE})
    pairs = [_name_match(doc, match) for doc in known for match in doc.matches]
    probs, is_right = pipe.judge(examples)
    return Section(
        component=name,
        factory="bert_ner",
        kind="entities",
        levels=(
            Level("entities", count_answers(labels, [doc and _list_strict(doc) for doc in docs])),
            Level(
                "tokens",
                count_answers(tags, tokens),
                count_shares([None if doc is None else [left == right for left, right in doc] for doc in tokens]),
                "tokens with the right BIO tag, those outside entities among them",
            ),
        ),
        confusion=count_confusions(labels, pairs, has_nothing=True),
        kinds_by_label=_count_kinds(labels, known),
        probs=probs,
        is_right=is_right,
        mistakes=pick_surest([_list_mistakes(doc) for doc in known], n_mistakes),
        notes=_list_notes(pipe, labels, elsewhere, len(docs) - len(known)),
    )


def _find(name: str, example: Example, elsewhere: Collection[str]) -> _Found | None:
    if not example.reference.has_annotation("ENT_IOB"):
        return None
    group = example.predicted.spans[name]
    align = example.alignment.x2y
    predicted, spans, probs = [], [], []
    for span, prob in zip(group, group.attrs["scores"], strict=True):
        # As spaCy's scorer does: what covers no gold token, or one that is not annotated, is neither right nor wrong.
        tokens = align[span.start : span.end]
        if len(tokens):
            start, end = int(tokens[0]), int(tokens[-1]) + 1
            if all(token.ent_iob for token in example.reference[start:end]):
                predicted.append(TagSpan(start, end, span.label_))
                spans.append(span)
                probs.append(prob)
    gold_spans = [ent for ent in example.reference.ents if ent.label_ not in elsewhere]
    gold = [TagSpan(ent.start, ent.end, ent.label_) for ent in gold_spans]
    return _Found(example, gold, gold_spans, predicted, spans, probs, match_entities(gold, predicted))


def _list_strict(doc: _Found) -> list[Answer]:
    """List the entities, each right with both ends and its label, or wrong."""
    answers: list[Answer] = []
    for match in doc.matches:
        gold, predicted = _name_match(doc, match)
        answers += [(gold, predicted)] if match.kind == "right" else [(gold, None), (None, predicted)]
    return answers


def _name_match(doc: _Found, match: EntityMatch) -> Answer:
    gold = None if match.gold is None else doc.gold[match.gold].label
    return gold, None if match.predicted is None else doc.predicted[match.predicted].label


def _count_kinds(labels: Sequence[str], docs: Sequence[_Found]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {label: dict.fromkeys(KINDS, 0) for label in labels}
    for doc in docs:
        for match in doc.matches:
            gold, predicted = _name_match(doc, match)
            counts[gold or predicted or ""][match.kind] += 1
    return counts


def _list_mistakes(doc: _Found) -> list[Mistake]:
    return [
        _make_mistake(doc, match, match.predicted)
        for match in doc.matches
        if match.kind != "right" and match.predicted is not None
    ]


def _make_mistake(doc: _Found, match: EntityMatch, index: int) -> Mistake:
    span = doc.spans[index]
    gold = None if match.gold is None else doc.gold_spans[match.gold]
    what = f"{_KIND_NAMES[match.kind]}: “{span.text}” is taken for {span.label_}"
    if gold is not None:
        what += f"; the gold annotation has “{gold.text}” as {gold.label_}"
    excerpts = (
        _draw("gold", doc.example.reference, doc.gold_spans, gold or span),
        _draw("predicted", doc.example.predicted, doc.spans, span),
    )
    return Mistake(doc.probs[index], what, excerpts)


def _draw(caption: str, doc: Doc, spans: Sequence[Span], middle: Span) -> Excerpt:
    marks = tuple(Mark(span.start_char, span.end_char, span.label_) for span in spans)
    return cut_excerpt(caption, doc.text, marks, middle.start_char, middle.end_char)


_KIND_NAMES: dict[EntityKind, str] = {
    "label": "wrong label",
    "boundary": "wrong boundary",
    "label and boundary": "wrong label and boundary",
    "spurious": "spurious",
}


def _list_notes(pipe: BertNer, labels: Sequence[str], elsewhere: Collection[str], n_unknown: int) -> tuple[str, ...]:
    notes = ["An entity is right with both ends and its label; a token with its BIO tag."]
    if n_unknown:
        notes.append(f"Documents without annotated entities, left out: {n_unknown:,}.")
    if strange := sorted(set(labels) - set(pipe.labels)):
        notes.append(f"Gold labels that the component does not know: {', '.join(strange)}.")
    if elsewhere:
        notes.append(f"Left out are the labels of other components: {', '.join(sorted(elsewhere))}.")
    return tuple(notes)
