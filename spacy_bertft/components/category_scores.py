"""Scores of categories, from the counts of a confusion matrix; and of choices, whose categories are positions.

spaCy's scorer of exclusive classes counts a text whose gold class it does not know, or which has none, for the first
label: precision and recall of that label are wrong then, and nothing says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.scorer import PRFScore, Scorer
from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.components.entity_scores import Scorer as ScorerFunction
from spacy_bertft.components.entity_scores import register
from spacy_bertft.components.predictions import Prediction, list_categories, list_gold_labels
from spacy_bertft.data.endings import list_positions
from spacy_bertft.errors import DataError, shorten

CANDIDATES = "bertft_candidates"


class UnknownLabelsWarning(UserWarning):
    """Texts that are scored have gold labels that no component of the pipeline has."""


def configure_textcat_scorer() -> ScorerFunction:
    """Configure `spacy-bertft.textcat_scorer.v1`: scores of labels that exclude each other."""
    return score_textcat


def configure_textcat_multilabel_scorer() -> ScorerFunction:
    """Configure `spacy-bertft.textcat_multilabel_scorer.v1`: scores of labels that may hold together."""
    return score_textcat_multilabel


def configure_choice_scorer() -> ScorerFunction:
    """Configure `spacy-bertft.choice_scorer.v1`: the accuracy of choices."""
    return score_choices


def score_textcat(
    examples: Iterable[Example], *, labels: Sequence[str], positive_label: str | None = None, **cfg: Any
) -> dict[str, Any]:
    """Score categories of which each text has one.

    A text whose gold class no component knows is an error, and its class a row of `cats_confusion` and of the averages.
    A text without a gold class is left out.

    Args:
        examples: With predictions.
        labels: The labels of the component.
        positive_label: Of two labels, the one whose F1 is the `cats_score`.
        cfg: Other settings of the component, which make no difference.

    Returns:
        What spaCy's scorer returns, and: `cats_accuracy`; `cats_matthews`, Matthews' correlation, by which GLUE scores
        CoLA; `cats_confusion`, the labels and the matrix of counts, whose rows are gold classes; `cats_support`, the
        texts by gold class.

    Raises:
        DataError: A text has a gold class and no predicted one.
    """
    examples = list(examples)
    judged = list_judged_categories(examples, labels, exclusive=True)
    pairs = [(each.gold or "", each.label) for doc in judged for each in doc]
    classes = [*labels, *sorted({gold for gold, _ in pairs} - set(labels))]
    row = {label: index for index, label in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)  # (gold, predicted)
    for gold, predicted in pairs:
        counts[row[gold], row[predicted]] += 1
    n_right, n_predicted, n_gold = (each.tolist() for each in (counts.diagonal(), counts.sum(0), counts.sum(1)))
    by_class = {
        label: PRFScore(tp=right, fp=predicted - right, fn=gold - right)
        for label, right, predicted, gold in zip(classes, n_right, n_predicted, n_gold, strict=True)
    }
    known = [example for example, doc in zip(examples, judged, strict=True) if doc]
    # Of spaCy's scores, the AUC is kept: it depends on no decision. An unknown class has none.
    scores: dict[str, Any] = Scorer.score_cats(known, "cats", labels=labels, multi_label=False)
    total = sum(by_class.values(), PRFScore())
    scores |= {f"cats_micro_{key}": share for key, share in total.to_dict().items()}
    for key in ("p", "r", "f"):
        scores[f"cats_macro_{key}"] = sum(each.to_dict()[key] for each in by_class.values()) / max(1, len(classes))
    scores["cats_f_per_type"] = {label: score.to_dict() for label, score in by_class.items()}
    scores["cats_score"], scores["cats_score_desc"] = scores["cats_macro_f"], "macro F"
    if positive_label is not None and len(labels) == 2:
        scores["cats_score"], scores["cats_score_desc"] = by_class[positive_label].fscore, f"F ({positive_label})"
    scores["cats_accuracy"] = sum(n_right) / len(pairs) if pairs else None
    scores["cats_matthews"] = _correlate(counts) if pairs else None
    scores["cats_confusion"] = {"labels": classes, "matrix": counts.tolist()}
    scores["cats_support"] = dict(zip(classes, n_gold, strict=True))
    return scores


def _correlate(counts: NDArray[np.int64]) -> float:
    """Compute the correlation of gold and predicted classes, from −1 to 1, by a confusion matrix; 0 if one is constant.

    Source: Matthews (1975); for more than two classes Gorodkin (2004), eq. 8.
    """
    gold, predicted, total = counts.sum(axis=1), counts.sum(axis=0), float(counts.sum())
    spread = (total**2 - gold @ gold) * (total**2 - predicted @ predicted)
    return float((counts.trace() * total - gold @ predicted) / np.sqrt(spread)) if spread else 0.0


def score_textcat_multilabel(
    examples: Iterable[Example], *, labels: Sequence[str], threshold: float, **cfg: Any
) -> dict[str, Any]:
    """Score categories of which a text may have several.

    A label without a gold value is unknown, not absent.

    Args:
        examples: With predictions.
        labels: The labels of the component.
        threshold: From which probability on a label is predicted.
        cfg: Other settings of the component, which make no difference.

    Returns:
        What spaCy's scorer returns, and: `cats_accuracy`, the share of texts of which all labels are right;
        `cats_support`, the texts by gold label; `cats_confusion`, which is None.
    """
    examples = list(examples)
    judged = [doc for doc in list_judged_categories(examples, labels, exclusive=False, threshold=threshold) if doc]
    held = Counter(each.label for doc in judged for each in doc if each.holds)
    is_correct = [all(each.is_correct for each in doc) for doc in judged]
    scores: dict[str, Any] = Scorer.score_cats(examples, "cats", labels=labels, multi_label=True, threshold=threshold)
    scores["cats_accuracy"] = sum(is_correct) / len(is_correct) if is_correct else None
    scores["cats_confusion"] = None
    scores["cats_support"] = {label: held[label] for label in labels} | count_unknown_labels(examples, labels)
    return scores


def score_choices(examples: Iterable[Example], **cfg: Any) -> dict[str, Any]:
    """Score choices; those of which the gold annotation says nothing are left out.

    Args:
        examples: With predictions.
        cfg: Settings of the component, which make no difference.

    Returns:
        `choice_acc`, the share of prompts whose best ending is the right one, None where there is no prompt; and
        `choice_support`, how many there are.

    Raises:
        DataError: A prompt has a gold ending and no predicted one.
    """
    judged = [
        each.is_correct
        for example in examples
        for doc in list_judged_categories([example], list_positions(example.predicted), exclusive=True)
        for each in doc
    ]
    return {"choice_acc": sum(map(bool, judged)) / len(judged) if judged else None, "choice_support": len(judged)}


def list_choice(component: str, source: Doc | Example) -> list[Prediction]:
    """List the best ending of a document, by its position; none where no component has predicted it.

    Args:
        component: Name of the component.
        source: An annotated document; an example, to compare it with the gold annotation.
    """
    positions = list_positions(source.predicted if isinstance(source, Example) else source)
    return list_categories(component, positions, source, exclusive=True, threshold=0.0)


def find_choice(doc: Doc) -> int | None:
    """Return the position of the best ending of a document, from 0 on; None where no component has predicted it."""
    return next((int(each.label) for each in list_choice("", doc)), None)


def register_choice() -> None:
    """Register `doc._.choice`: the position of the best ending of a document."""
    register(Doc, "choice", "the value from doc.cats", find_choice)


def register_candidates() -> None:
    """Register `doc._.bertft_candidates`: by component, the categories whose recall is promised; None without any."""
    Doc.set_extension(CANDIDATES, default=None, force=True)


def list_judged_categories(
    examples: Iterable[Example], labels: Sequence[str], *, exclusive: bool, threshold: float = 0.0, component: str = ""
) -> list[list[Prediction]]:
    """List the predicted categories of each text of which its gold annotation says something.

    Args:
        examples: With predictions.
        labels: Those of a component.
        exclusive: Whether they exclude each other.
        threshold: If not, from which probability on a label is predicted.
        component: Name of the component.

    Raises:
        DataError: A text has a gold category and no predicted one.
    """
    judged = []
    for example in examples:
        predictions = list_categories(component, labels, example, exclusive=exclusive, threshold=threshold)
        cats = example.reference.cats
        unknown = cats.keys() - example.predicted.cats.keys()
        if not predictions and list_gold_labels(cats, [*labels, *unknown], exclusive=exclusive):
            raise DataError(
                f"{shorten(repr(example.text))} has no predicted category. Expected one of {', '.join(labels)}; let "
                "the pipeline annotate the text before it is scored."
            )
        judged.append([each for each in predictions if each.is_correct is not None])
    return judged


def count_unknown_labels(examples: Iterable[Example], labels: Iterable[str]) -> dict[str, int]:
    """Count texts by gold label that no component of the pipeline has, in the order of the labels.

    Args:
        examples: With predictions.
        labels: Those of the component that is scored.
    """
    labels = set(labels)
    counts: Counter[str] = Counter()
    for example in examples:
        known = labels | example.predicted.cats.keys()
        counts.update(label for label, value in example.reference.cats.items() if value > 0 and label not in known)
    return dict(sorted(counts.items()))


def format_unknown_labels(counts: Mapping[str, int]) -> str:
    """Name unknown labels, each with the number of texts that have it.

    Example:
        >>> format_unknown_labels({"news": 1200, "other": 1})
        'news (1,200), other (1)'
    """
    return ", ".join(f"{label} ({count:,})" for label, count in counts.items())
