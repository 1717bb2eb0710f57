"""Scores of choices: how often the best ending is the right one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.components.category_scores import list_judged_categories
from spacy_bertft.components.entity_scores import Scorer
from spacy_bertft.components.predictions import Prediction, list_categories
from spacy_bertft.data.endings import list_positions


def configure_choice_scorer() -> Scorer:
    """Configure `spacy-bertft.choice_scorer.v1`: the accuracy of choices."""
    return score_choices


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
