"""How good the labels of a component are: categories, of ours or of spaCy's, choices and tags; and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from spacy.language import Language
from spacy.training import Example

from spacy_bertft.components.category_scores import (
    count_unknown_labels,
    format_unknown_labels,
    list_judged_categories,
    score_textcat,
    score_textcat_multilabel,
)
from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.predictions import Prediction, stack_judged
from spacy_bertft.components.tagger import BertTagger
from spacy_bertft.errors import check_setting, format_count
from spacy_bertft.evaluation.confusion import ConfusionMatrix, count_confusions
from spacy_bertft.evaluation.counts import Counts, Pair, count_pairs, count_shares
from spacy_bertft.evaluation.results import ComponentResult, Kind, Level, choose_errors, list_errors
from spacy_bertft.evaluation.tables import format_percent

# The components that write `doc.cats`, and whether every document has exactly one of their labels.
IS_EXCLUSIVE_BY_FACTORY = {
    "bert_textcat": True,
    "textcat": True,
    "bert_textcat_multilabel": False,
    "textcat_multilabel": False,
}
_ACCURACY = {"answers": "Questions with exactly the right answer", "choices": "Prompts with the right ending"}
_ANSWERED = {"answers": ["an answer", "no answer"]}


def override_threshold(nlp: Language, threshold: float) -> None:
    """Set the threshold of every multi-label component.

    Raises:
        SettingError: The threshold is not between 0 and 1, or there is no such component.
    """
    check_setting("threshold", threshold, 0 <= threshold <= 1, "a number from 0 to 1")
    names = [name for name in nlp.pipe_names if IS_EXCLUSIVE_BY_FACTORY.get(nlp.get_pipe_meta(name).factory) is False]
    check_setting("threshold", threshold, bool(names), "none, since the pipeline has no multi-label categories")
    for name in names:
        component: Any = nlp.get_pipe(name)
        component.cfg["threshold"] = threshold


def measure_categories(
    name: str, factory: str, component: Any, examples: Sequence[Example], n_errors: int = 0
) -> ComponentResult:
    """Measure the categories that a component has predicted, whatever scorer it has.

    Args:
        name: Name of the component.
        factory: Its factory, one of `IS_EXCLUSIVE_BY_FACTORY`.
        component: The component, with `labels` and the settings in `cfg`.
        examples: Annotated by the pipeline.
        n_errors: How many errors to show.

    Raises:
        DataError: The component has predicted no class for a document that has one.
    """
    is_exclusive, all_labels = IS_EXCLUSIVE_BY_FACTORY[factory], sorted(component.labels)
    threshold = 0.0 if is_exclusive else float(component.cfg["threshold"])
    if is_exclusive:
        scores = score_textcat(examples, labels=all_labels, positive_label=component.cfg.get("positive_label"))
    else:
        scores = score_textcat_multilabel(examples, labels=all_labels, threshold=threshold)
    docs = list_judged_categories(examples, all_labels, exclusive=is_exclusive, threshold=threshold, component=name)
    pairs: list[list[Pair] | None] = [
        [(each.gold or None, each.label if each.is_predicted else None) for each in doc] or None for doc in docs
    ]
    is_correct = [[all(each.is_correct for each in doc)] if doc else None for doc in docs]
    matrix = scores["cats_confusion"]
    labels = matrix["labels"] if matrix else all_labels
    accuracy_name = "Texts with the correct class" if is_exclusive else "Texts with all labels correct"
    level = Level("categories", count_pairs(labels, pairs), count_shares(is_correct), accuracy_name)
    return _make_result(
        name,
        factory,
        level,
        docs,
        confusion=matrix and ConfusionMatrix(tuple(labels), np.array(matrix["matrix"], dtype=np.int64)),
        errors=choose_errors(map(list_errors, examples, docs), n_errors),
        notes=_list_notes(
            scores, docs.count([]), count_unknown_labels(examples, all_labels), None if is_exclusive else threshold
        ),
        scores=scores,
    )


def measure_tags(
    name: str, factory: str, pipe: BertTagger, examples: Sequence[Example], n_errors: int = 0
) -> ComponentResult:
    """Measure the tags that a component has given.

    Args:
        name: Its name.
        factory: Its factory.
        pipe: The component.
        examples: Annotated by the pipeline.
        n_errors: Not used: errors of single tokens are not shown.
    """
    docs = [[each for each in pipe.list_predictions(example) if each.gold] for example in examples]
    pairs: list[list[Pair] | None] = [[(each.gold, each.label or None) for each in doc] or None for doc in docs]
    flat = [pair for doc in pairs for pair in doc or ()]
    tags = sorted({tag for pair in flat for tag in pair if tag} | set(pipe.labels))
    unknown = ", ".join(sorted(set(tags) - set(pipe.labels)))
    return _make_result(
        name,
        factory,
        Level("tags", count_pairs(tags, pairs), _count_correct(docs), "Tokens with the correct tag"),
        docs,
        confusion=count_confusions(tags, flat, has_none=any(predicted is None for _, predicted in flat)),
        notes=(f"gold tags that the component does not know: {unknown}",) if unknown else (),
    )


def measure_answers(
    name: str, factory: str, pipe: BertComponent, examples: Sequence[Example], n_errors: int = 0
) -> ComponentResult:
    """Measure what a component has answered or chosen: right is an exact match, as the script of SQuAD counts.

    Args:
        name: Its name.
        factory: Its factory.
        pipe: The component.
        examples: Annotated by the pipeline.
        n_errors: How many of the most confident errors to show.
    """
    kind: Kind = "answers" if factory == "bert_qa" else "choices"
    docs = [[each for each in pipe.list_predictions(example) if each.is_correct is not None] for example in examples]
    pairs = [[pair for each in doc for pair in _pair(each)] if doc else None for doc in docs]
    labels = sorted({label for doc in pairs for pair in doc or () for label in pair if label})
    n_unknown = docs.count([])
    note = f"documents without a gold {kind.removesuffix('s')} to compare with: {n_unknown:,}"
    return _make_result(
        name,
        factory,
        Level(kind, count_pairs(_ANSWERED.get(kind, labels), pairs), _count_correct(docs), _ACCURACY[kind]),
        docs,
        errors=choose_errors(map(list_errors, examples, docs), n_errors),
        notes=(note,) * bool(n_unknown),
    )


def _pair(prediction: Prediction) -> list[Pair]:
    if prediction.kind == "category":
        return [(prediction.gold, prediction.label)]
    some, none = _ANSWERED["answers"]
    gold, predicted = (some if text else none for text in (prediction.gold, prediction.label))
    return [(gold, predicted)] if prediction.is_correct else [(gold, None), (None, predicted)]


def _count_correct(docs: Sequence[Sequence[Prediction]]) -> Counts:
    return count_shares([[bool(each.is_correct) for each in doc] or None for doc in docs])


def _make_result(
    name: str, factory: str, level: Level, docs: Sequence[Sequence[Prediction]], **more: Any
) -> ComponentResult:
    judged = stack_judged(each for doc in docs for each in doc)
    return ComponentResult(name, factory, cast(Kind, level.name), (level,), judged=judged, **more)


def _list_notes(
    scores: dict[str, Any], n_unlabelled: int, unknown_labels: dict[str, int], threshold: float | None
) -> tuple[str, ...]:
    accuracy, auc_by_label = scores["cats_accuracy"], scores["cats_auc_per_type"]
    if accuracy is None:
        notes = ["no document has a gold label" + " that it knows" * bool(unknown_labels)]
    else:
        share = f"{format_percent(accuracy)} %"
        notes = [f"accuracy {share}"]
        if threshold is None:
            notes.append(f"Matthews' correlation {100 * scores['cats_matthews']:.2f}")
        if threshold is not None:
            notes = [f"all labels correct in {share} (threshold {threshold:g})"]
        if n_unlabelled:
            notes.append(f"{n_unlabelled:,} without a gold label left out")
        if n_undefined := sum(auc is None for auc in auc_by_label.values()):
            labels = format_count(len(auc_by_label), "label")
            notes.append(f"{n_undefined:,} of {labels} without AUC, 0 in its average as in spaCy")
    if unknown_labels:
        counts = format_unknown_labels(unknown_labels)
        notes.append(f"gold labels that the pipeline does not know: {counts}")
    return tuple(notes)
