"""Which prediction of which component is to be explained; correct and incorrect ones of annotated documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from tqdm import tqdm

from spacy_bertft.components.ner import BertNer
from spacy_bertft.components.predictions import Prediction
from spacy_bertft.components.text_component import TextComponent, is_regressor
from spacy_bertft.data.docs import read_docs
from spacy_bertft.errors import DataError, SettingError

# The others are bert_tagger, bert_spancat, bert_qa and bert_multiple_choice.
_EXPECTED = "bert_ner, bert_textcat, bert_textcat_multilabel or bert_regressor"

# A document that the pipeline has annotated, and a prediction of it.
DocPrediction = tuple[Doc, Prediction]
ExplainedComponent = BertNer | TextComponent


def find_explained(nlp: Language) -> dict[str, ExplainedComponent]:
    """Find the components of a pipeline whose predictions can be explained, by name."""
    return {name: pipe for name, pipe in nlp.pipeline if isinstance(pipe, (BertNer, TextComponent))}


def get_explained(
    nlp: Language, target: str | Span | None = None, component: str | None = None
) -> tuple[str, ExplainedComponent]:
    """Return the component whose prediction is to be explained, and its name.

    Args:
        nlp: The pipeline.
        target: A label or an entity; None for whatever the component predicts.
        component: Name of the component; None for the first that has categories, or else entities, and has the label.

    Raises:
        SettingError: The pipeline has no such component, or none with this label.
    """
    ours = find_explained(nlp)
    if component is not None and component not in ours:
        expected = f"one of {', '.join(ours)}" if ours else f"a pipeline that has {_EXPECTED}; this has none"
        raise SettingError("component", component, expected)
    if not ours:
        expected = f"a pipeline with a component of ours that can be explained: {_EXPECTED}"
        raise SettingError("pipeline", ", ".join(nlp.pipe_names), expected)
    fitting = [
        (name, pipe)
        for name, pipe in sorted(ours.items(), key=lambda item: isinstance(item[1], BertNer))  # categories first
        if component in (None, name) and (isinstance(pipe, BertNer) or not isinstance(target, Span))
    ]
    label = target.label_ if isinstance(target, Span) else target
    for name, pipe in fitting:
        if label is None or label in pipe.labels:
            return name, pipe
    known = ", ".join(label for _, pipe in fitting for label in pipe.labels)
    raise SettingError("target", label, f"one of {known}" if known else "a label: there are no entities here")


def list_entities(doc: Doc, name: str, label: str | None = None) -> list[Span]:
    """List the entities that a component has found in a document, of one label or of all.

    Raises:
        DataError: There is none.
    """
    found = doc.spans.get(name, doc.ents)
    entities = [entity for entity in found if label in (None, entity.label_)]
    if not entities:
        wanted = "entity" if label is None else f"entity {label}"
        raise DataError(f"{name} has found no {wanted} in {doc.text[:40]!r}, so there is no prediction to explain.")
    return entities


def list_judged(
    nlp: Language, data_path: Path, name: str, pipe: ExplainedComponent, label: str | None = None
) -> list[DocPrediction]:
    """Annotate documents, and list the predictions of a component that gold annotation says something of.

    For exclusive categories that is the best one; for others, each that is predicted or holds; of numbers, each.
    Entities that are missed are no predictions.

    Args:
        nlp: The pipeline.
        data_path: A `.spacy` file with gold annotation.
        name: Name of the component.
        pipe: The component.
        label: Only predictions of this label, or where it is the gold label.

    Raises:
        DataError: There is no such file, or there is no prediction that its gold annotation says something of.
    """
    references = list(read_docs(data_path, nlp.vocab))
    docs = nlp.pipe(nlp.make_doc(doc.text) for doc in references)
    judged = [
        (doc, prediction)
        for doc, gold in zip(
            tqdm(docs, "Predicting", len(references), unit=" texts", disable=None), references, strict=True
        )
        for prediction in pipe.list_predictions(Example(doc, gold))
        if prediction.error is not None
        or (prediction.is_correct is not None and (prediction.is_predicted or prediction.holds))
        if label in (None, prediction.label) or (prediction.kind == "category" and label == prediction.gold)
    ]
    if not judged:
        about = "" if label is None else f" of {label}"
        kind = "numbers" if is_regressor(pipe) else "categories"
        kind = "entities" if isinstance(pipe, BertNer) else f"{kind} among {', '.join(pipe.labels)}"
        raise DataError(
            f"{data_path}: {name} makes no prediction{about} that gold annotation says something of. Expected "
            f"documents with gold {kind}."
        )
    return judged


def choose_predictions(judged: Iterable[DocPrediction], limit: int) -> tuple[list[DocPrediction], list[DocPrediction]]:
    """Choose incorrect predictions and correct ones, half of each where there are enough, the most confident first.

    The labels take turns, so that a frequent one does not crowd out the others. Of numbers, these are the largest
    errors, as if they were incorrect, and the smallest ones.
    """
    judged = list(judged)
    if judged and judged[0][1].error is not None:
        ranked = sorted(judged, key=lambda each: -abs(each[1].error or 0.0))
        n_largest = min(len(ranked), limit) // 2 + min(len(ranked), limit) % 2
        return ranked[:n_largest], ranked[max(n_largest, len(ranked) - limit // 2) :]
    ordered = sorted(judged, key=_get_doubt)
    incorrect, correct = (_take_turns([each for each in ordered if each[1].is_correct == v]) for v in (False, True))
    incorrect = incorrect[: max(limit - len(correct), (limit + 1) // 2)]
    return sorted(incorrect, key=_get_doubt), sorted(correct[: limit - len(incorrect)], key=_get_doubt)


def _take_turns(ordered: Iterable[DocPrediction]) -> list[DocPrediction]:
    """Put the first prediction of each label first, then the second of each, and so on."""
    n_before: Counter[str] = Counter()
    turns = []
    for each in ordered:
        turns.append((n_before[each[1].label], each))
        n_before[each[1].label] += 1
    return [each for _, each in sorted(turns, key=itemgetter(0))]


def _get_doubt(judged: DocPrediction) -> float:
    return -(judged[1].confidence or 0.0)
