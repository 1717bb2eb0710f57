"""The components of a pipeline that write `doc.cats`."""

from __future__ import annotations

from typing import Any, NamedTuple

from spacy.language import Language

from spacy_bertft.errors import SettingError

_IS_EXCLUSIVE_BY_FACTORY = {
    "bert_textcat": True,
    "textcat": True,
    "bert_textcat_multilabel": False,
    "textcat_multilabel": False,
}


class CategoryPipe(NamedTuple):
    """A component that writes `doc.cats`.

    Attributes:
        name: Its name in the pipeline.
        labels: What it predicts, sorted.
        is_exclusive: Whether every document has exactly one of them.
        threshold: If not, from which score on a label counts as predicted.
        positive_label: If so, of two labels the one whose F1 is the score.
    """

    name: str
    labels: tuple[str, ...]
    is_exclusive: bool
    threshold: float = 0.0
    positive_label: str | None = None


def find_category_pipes(nlp: Language) -> list[CategoryPipe]:
    """Find the components that write `doc.cats`, in the order of the pipeline."""
    found = []
    for name in nlp.pipe_names:
        is_exclusive = _IS_EXCLUSIVE_BY_FACTORY.get(nlp.get_pipe_meta(name).factory)
        if is_exclusive is not None:
            component: Any = nlp.get_pipe(name)
            labels, cfg = tuple(sorted(component.labels)), component.cfg
            if is_exclusive:
                found.append(CategoryPipe(name, labels, is_exclusive, positive_label=cfg.get("positive_label")))
            else:
                found.append(CategoryPipe(name, labels, is_exclusive, threshold=float(cfg["threshold"])))
    return found


def override_threshold(nlp: Language, threshold: float) -> None:
    """Set the threshold of every multi-label component.

    Raises:
        SettingError: The threshold is not between 0 and 1, or there is no such component.
    """
    if not 0 <= threshold <= 1:
        raise SettingError("threshold", threshold, "a number from 0 to 1")
    components: list[Any] = [nlp.get_pipe(pipe.name) for pipe in find_category_pipes(nlp) if not pipe.is_exclusive]
    if not components:
        raise SettingError("threshold", threshold, "none, since the pipeline has no multi-label categories")
    for component in components:
        component.cfg["threshold"] = threshold
