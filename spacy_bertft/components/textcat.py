"""`bert_textcat`: documents → `doc.cats`, of which one holds. `bert_textcat_multilabel`: any may hold."""

# No `from __future__ import annotations`: confection reads signatures at run time.

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Optional

from spacy.language import Language
from spacy.training import Example

from spacy_bertft.components.entity_scores import Scorer
from spacy_bertft.components.text_component import DEFAULT_MODEL, ClassWeights, TextComponent
from spacy_bertft.errors import CheckpointError, DataError, SettingError
from spacy_bertft.models.heads.text import TextModel

# Those of spaCy's own components: only the first has a weight.
_SCORES = ("score", "score_desc", "micro_p", "micro_r", "micro_f", "macro_p", "macro_r", "macro_f", "macro_auc")
_SCORE_WEIGHTS = {f"cats_{name}": 1.0 if name == "score" else None for name in (*_SCORES, "f_per_type")}


class BertTextcat(TextComponent):
    """Classify documents by exclusive labels; their probabilities sum to one."""

    exclusive = True
    stored = (*TextComponent.stored, "positive_label")

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,  # noqa: UP045
        labels: Optional[Sequence[str]] = None,  # noqa: UP045
        positive_label: Optional[str] = None,  # noqa: UP045
    ) -> None:
        """Find the labels and their weights, and load the encoder.

        Args:
            get_examples: Gives examples; all are read.
            nlp: The pipeline.
            labels: The labels, as `spacy init labels` wrote them.
            positive_label: Of two labels, the one whose precision, recall and F1 the scorer reports.

        Raises:
            DataError: There are not two labels, or gold annotation makes no sense.
            SettingError: `positive_label` is none of two labels, or `class_weights` does not fit the labels.
            CheckpointError: The encoder cannot be loaded.
        """
        with self._roll_back_on_error():
            super().initialize(get_examples, nlp=nlp, labels=labels)
            if positive_label is not None and (positive_label not in self.labels or len(self.labels) != 2):
                labels_found = ", ".join(self.labels)
                raise SettingError("positive_label", positive_label, f"one of two labels, not of {labels_found}")
            self.cfg["positive_label"] = positive_label

    def _set_outputs(self, get_examples: Callable[[], Iterable[Example]]) -> None:
        if len(self.labels) < 2:
            raise DataError(
                f"{self.name} has the single label '{self.labels[0]}'. Expected two or more; for a label that holds or "
                "does not, use bert_textcat_multilabel."
            )
        super()._set_outputs(get_examples)

    def _set_stored(self, stored: dict[str, Any]) -> None:
        super()._set_stored(stored)
        positive_label = self.cfg["positive_label"]
        if positive_label is not None and positive_label not in self.labels:
            raise CheckpointError(f"The positive_label is {positive_label!r}. Expected nothing, or one of the labels.")


class BertTextcatMultilabel(TextComponent):
    """Classify documents by labels that may hold together, each with a probability of its own."""

    exclusive = False


def _register(factory: str, component: type[TextComponent], threshold: float) -> Callable[..., TextComponent]:
    """Register a component; both have the same settings."""

    def make(
        nlp: Language,
        name: str,
        model: TextModel,
        threshold: float,
        class_weights: ClassWeights,
        label_smoothing: float,
        scorer: Optional[Scorer],  # noqa: UP045
    ) -> TextComponent:
        """Make the component.

        Args:
            nlp: The pipeline.
            name: Name of the component.
            model: A text classifier.
            threshold: From this probability on the scorer takes a label to hold; `doc.cats` has the probabilities of
                all labels in any case. Of exclusive labels, our scorer and spaCy's take the best, whatever its
                probability.
            class_weights: `"none"`, `"balanced"`, or a weight for each label; for labels that may hold together, where
                it holds.
            label_smoothing: Share of the target that is spread over all labels; for labels that may hold together,
                that is moved to one half.
            scorer: Scores a batch of examples.

        Raises:
            SettingError: A setting is outside what is allowed.
        """
        if not 0 <= threshold <= 1:
            raise SettingError("threshold", threshold, "a probability from 0 to 1")
        if not 0 <= label_smoothing < 1:
            raise SettingError("label_smoothing", label_smoothing, "a share from 0 up to, but not 1")
        settings = {"threshold": threshold, "class_weights": class_weights, "label_smoothing": label_smoothing}
        by_weights = {"label_weights": [], "temperature": 1.0, "positive_label": None}
        return component(nlp.vocab, model, name, scorer=scorer, **settings, **by_weights)

    make.__name__ = make.__qualname__ = f"make_{factory}"  # as tracebacks and the documentation name it
    default_config = {
        "model": DEFAULT_MODEL,
        "threshold": threshold,
        "class_weights": "none",
        "label_smoothing": 0.0,
        "scorer": {"@scorers": f"spacy-bertft.{factory.removeprefix('bert_')}_scorer.v1"},
    }
    return Language.factory(
        factory, assigns=["doc.cats"], default_config=default_config, default_score_weights=_SCORE_WEIGHTS, func=make
    )


make_bert_textcat = _register("bert_textcat", BertTextcat, threshold=0.0)
make_bert_textcat_multilabel = _register("bert_textcat_multilabel", BertTextcatMultilabel, threshold=0.5)
