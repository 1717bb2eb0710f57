"""Components whose candidates have a recall that is promised, by a threshold that is stored with the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from spacy.language import Language
from spacy.training import Example
from thinc.api import Optimizer

from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.pipelines import collect_by_component
from spacy_bertft.errors import CheckpointError, DataError
from spacy_bertft.training.risk_control import GoldProbs, count_needed, fit_threshold, join_gold_probs

# spaCy writes nine decimals of a number, so a threshold is stored by its logarithm: it may be tiny.
_PARTS = ("log_threshold", "n_docs", "recall")
_LEAST_LOG = -745.0  # the exponential of less is 0


class GuaranteedComponent(BertComponent):
    """A component that also writes candidates: all that has at least the probability of a fitted threshold.

    The threshold belongs to the weights and the temperature that it was fitted with: it is dropped when they change.
    """

    guarantee_of: str  # what is promised, in the plural
    candidates_in: str  # where it writes candidates, with its name as `{}`

    def collect_gold_probs(self, examples: list[Example]) -> GoldProbs:
        """Predict, and read the probabilities of what the gold annotation has.

        Args:
            examples: Their predicted documents hold what earlier components write.

        Raises:
            DataError: The gold annotation of a document makes no sense, or has a label that the component does not.
        """
        raise NotImplementedError

    @property
    def candidate_threshold(self) -> float | None:
        """The probability from which on something is a candidate; None where no recall is promised."""
        return math.exp(self.cfg["guarantee"]["log_threshold"]) if self.cfg["guarantee"] else None

    def drop_guarantee(self) -> None:
        """Promise nothing, and write no candidates."""
        self.cfg["guarantee"] = None

    def finish_update(self, sgd: Optimizer) -> None:
        """Change the weights."""
        self.drop_guarantee()
        super().finish_update(sgd)

    def _set_outputs(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        self.drop_guarantee()
        super()._set_outputs(get_examples)

    def _add_outputs(self, label: str) -> None:
        self.drop_guarantee()
        super()._add_outputs(label)

    def _set_stored(self, stored: dict[str, Any]) -> None:
        super()._set_stored({"guarantee": None, **stored})
        found = self.cfg["guarantee"]
        if found is not None:
            is_complete = isinstance(found, dict) and sorted(found) == [*_PARTS]
            is_valid = is_complete and all(isinstance(found[part], (int, float)) for part in _PARTS)
            if not is_valid or not _LEAST_LOG < found["log_threshold"] <= 0:
                raise CheckpointError(f"The guarantee is {found!r}. Expected null, or {', '.join(_PARTS)}.")


def collect_gold_probs(
    nlp: Language, examples: Sequence[Example], pipes: Mapping[str, GuaranteedComponent]
) -> dict[str, GoldProbs]:
    """Collect what some components of a pipeline say of gold annotation, by their names."""
    parts = collect_by_component(nlp, examples, pipes, lambda pipe, batch: pipe.collect_gold_probs(batch))
    return {name: join_gold_probs(each) for name, each in parts.items()}


def guarantee(pipe: GuaranteedComponent, gold: GoldProbs, recall: float) -> None:
    """Fit the threshold of a component.

    Args:
        pipe: The component.
        gold: What it says of documents that it was not trained on.
        recall: The share of the gold annotation of a document that its candidates are to have, on average.

    Raises:
        DataError: No threshold keeps the promise.
    """
    threshold, n_docs = fit_threshold(gold, recall), len({*gold.doc.tolist()})
    if threshold is not None:
        pipe.cfg["guarantee"] = {"log_threshold": math.log(threshold), "n_docs": n_docs, "recall": recall}
        return
    needed, n_never = count_needed(gold, recall), int((gold.probs == 0).sum())
    never = f"{n_never:,} of {len(gold.probs):,} can be no candidate, as they do not fit the tokens"
    advice = "a lower recall" if needed is None else f"at least {needed:,}, or a lower recall"
    raise DataError(
        f"{pipe.name}: no threshold promises a recall of {recall:g} by {n_docs:,} documents with gold "
        f"{pipe.guarantee_of}{f' ({never})' * bool(n_never)}. Expected {advice}."
    )
