"""What `bert_textcat` and `bert_textcat_multilabel` have to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spacy.training import Example

from spacy_bertft.components.category_scores import (
    compare_labels,
    count_unknown_labels,
    format_unknown_labels,
    pair_classes,
)
from spacy_bertft.components.text_component import TextComponent
from spacy_bertft.evaluate.category_pipes import CategoryPipe
from spacy_bertft.evaluate.confusion import count_confusions
from spacy_bertft.evaluate.counts import Answer, count_answers, count_shares
from spacy_bertft.evaluate.sections.section import Level, Mistake, Section, cut_excerpt, pick_surest


def measure_cats(pipe: CategoryPipe, component: TextComponent, examples: Sequence[Example], n_mistakes: int) -> Section:
    """Measure the categories that a component gives.

    Args:
        pipe: What it predicts, and from which score on.
        component: The component.
        examples: Annotated by the pipeline.
        n_mistakes: How many mistakes to show.

    Raises:
        DataError: The component has predicted no class for a document that has one.
    """
    answers: list[list[Answer] | None]
    is_right: list[list[bool] | None]
    if pipe.is_exclusive:
        pairs = [pair_classes(example, pipe.labels) for example in examples]
        labels = [*pipe.labels, *sorted({pair[0] for pair in pairs if pair} - set(pipe.labels))]
        answers = [None if pair is None else [pair] for pair in pairs]
        is_right = [None if pair is None else [pair[0] == pair[1]] for pair in pairs]
        confusion = count_confusions(labels, [pair for pair in pairs if pair])
        accuracy_name = "texts with the right class"
    else:
        compared = [compare_labels(example, pipe.labels, pipe.threshold) for example in examples]
        labels = list(pipe.labels)
        answers = [None if doc is None else [_name(label, *each) for label, each in doc.items()] for doc in compared]
        is_right = [None if doc is None else [all(gold == held for gold, held in doc.values())] for doc in compared]
        confusion = None
        accuracy_name = "texts with all labels right"
    probs, judged = component.judge(examples)
    mistakes = [_list_mistakes(example, doc) for example, doc in zip(examples, answers, strict=True) if doc]
    return Section(
        component=pipe.name,
        factory="bert_textcat" if pipe.is_exclusive else "bert_textcat_multilabel",
        kind="categories",
        levels=(Level("categories", count_answers(labels, answers), count_shares(is_right), accuracy_name),),
        confusion=confusion,
        kinds_by_label={},
        probs=probs,
        is_right=judged,
        mistakes=pick_surest(mistakes, n_mistakes),
        notes=_list_notes(pipe, count_unknown_labels(examples, pipe.labels), sum(doc is None for doc in answers)),
    )


def _name(label: str, gold: bool, predicted: bool) -> Answer:
    return (label if gold else None, label if predicted else None)


def _list_mistakes(example: Example, answers: Sequence[Answer]) -> list[Mistake]:
    """List the wrong answers to one text; how sure a label is not to hold is the rest of its probability."""
    cats, text = example.predicted.cats, example.reference.text
    excerpts = (cut_excerpt("text", text, (), 0, 0),)
    mistakes = []
    for gold, predicted in answers:
        if gold and predicted and gold != predicted:
            what = f"taken for {predicted}; the gold annotation has {gold}"
            mistakes.append(Mistake(cats[predicted], what, excerpts))
        elif predicted and not gold:
            mistakes.append(Mistake(cats[predicted], f"{predicted} is predicted and does not hold", excerpts))
        elif gold and not predicted:
            mistakes.append(Mistake(1 - cats.get(gold, 0.0), f"{gold} is not predicted and does hold", excerpts))
    return mistakes


def _list_notes(pipe: CategoryPipe, unknown_labels: Mapping[str, int], n_unknown: int) -> tuple[str, ...]:
    notes = ["Each text has one class." if pipe.is_exclusive else f"A label holds from {pipe.threshold:g} on."]
    if n_unknown:
        notes.append(f"Texts without a gold label, left out: {n_unknown:,}.")
    if unknown_labels:
        counts = format_unknown_labels(unknown_labels)
        notes.append(f"Gold labels that the pipeline does not know: {counts}.")
    return tuple(notes)
