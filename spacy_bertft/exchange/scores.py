"""What registries show of how good a pipeline is: its scores, in `meta.json` and on a model card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import srsly
from huggingface_hub import EvalResult
from spacy.language import Language

from spacy_bertft.components.pipelines import hash_pipeline
from spacy_bertft.errors import DataError, read_reason

# The hub's name of a metric, and what it measures, for scores under the names of spaCy.
_METRICS = {
    "ents_p": ("precision", "entity precision"),
    "ents_r": ("recall", "entity recall"),
    "ents_f": ("f1", "entity F1"),
    "tag_acc": ("accuracy", "tag accuracy"),
    "choice_acc": ("accuracy", "accuracy of choices"),
    "qa_em": ("exact_match", "exact match"),
    "qa_f1": ("f1", "F1 over the words of answers"),
    "cats_accuracy": ("accuracy", "accuracy"),
    "cats_micro_f": ("f1", "micro F1"),
    "cats_macro_f": ("f1", "macro F1"),
    "numbers_pearson": ("pearsonr", "Pearson correlation"),
    "numbers_spearman": ("spearmanr", "Spearman correlation"),
}
_NO_SHARES = ("numbers_mse",)
_PREFIXES = {"bert_ner": "ents_", "bert_qa": "qa_", "bert_regressor": "numbers_", "bert_tagger": "tag_"}
_PREFIXES |= {"bert_multiple_choice": "choice_"}


def read_scores(path: Path | str, nlp: Language) -> dict[str, Any]:
    """Read the scores of a pipeline on a test set, for `performance` in its meta data.

    Where they come from is noted among them, since spaCy writes those on the development data to the same place.

    Args:
        path: What `evaluate --output` wrote, of this package or of spaCy.
        nlp: The pipeline.

    Raises:
        DataError: It cannot be read, or is another file; or the scores are those of another pipeline: of another
            training or, where spaCy wrote them, without any label of this one.
    """
    expected = "Expected the file that `spacy-bertft evaluate --output` writes."
    try:
        scores = srsly.read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {read_reason(error)}. {expected}") from error
    if not isinstance(scores, dict) or "speed" not in scores:
        raise DataError(f"{path} holds no scores. {expected}")
    labels = {
        label for name in ("ents_per_type", "cats_f_per_type", "numbers_per_type") for label in scores.get(name) or {}
    }
    is_foreign = labels and labels.isdisjoint(label for found in nlp.meta["labels"].values() for label in found)
    training = hash_pipeline(nlp)
    if is_foreign or scores.pop("training", training) != training:
        raise DataError(
            f"{path} holds the scores of another pipeline, or of {nlp.path} as it was before. Evaluate this one: "
            f"spacy-bertft evaluate {nlp.path} test.spacy --output {path}"
        )
    return {**scores, "split": "test"}


def select_scores(performance: Mapping[str, Any], component: str, factory: str) -> dict[str, float]:
    """Select the scores of one component that are shares.

    Args:
        performance: Scores under the names of spaCy.
        component: Its name.
        factory: Its factory, such as `bert_ner`.
    """
    prefix = _PREFIXES.get(factory, "cats_")
    own = performance.get(f"{prefix}by_component", {}).get(component, performance)
    return {
        name: value
        for name, value in own.items()
        if name.startswith(prefix) and name not in _NO_SHARES and isinstance(value, float) and 0 <= value <= 1
    }


def list_results(name: str, task: str, split: str, scores: Mapping[str, float]) -> list[EvalResult]:
    """List scores as the hub wants them in `model-index`, those that have a metric there.

    Args:
        name: Name of the pipeline.
        task: The hub's name of the task, such as `token-classification`.
        split: `test`, or `validation` for the development data.
        scores: Scores under the names of spaCy.
    """
    return [
        EvalResult(
            task_type=task,
            dataset_type="unknown",
            dataset_name=f"{split} data of {name}",
            dataset_split=split,
            metric_type=_METRICS[score][0],
            metric_value=round(value, 4),
            metric_name=f"{_METRICS[score][1]} of the spaCy pipeline",
        )
        for score, value in scores.items()
        if score in _METRICS
    ]
