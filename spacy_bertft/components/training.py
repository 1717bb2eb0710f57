"""Around spaCy's training loop: settings that it ignores without a word, and gradual unfreezing.

It evaluates step 0 and then every `eval_frequency` steps, but not the last step: where training ends before the second
evaluation, `model-best` is the pipeline of step 0. A negative `patience` ends it after one step. A weight of a score
that no component gives is ignored.
"""

# No `from __future__ import annotations`: confection reads signatures at run time.

import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any, Literal, NamedTuple

from spacy.language import Language
from spacy.training import Example
from spacy.util import registry

from spacy_bertft.components.pipe import BertPipe
from spacy_bertft.errors import BertftError, SettingError, check_setting
from spacy_bertft.training.randomness import keep_random_state

GetExamples = Callable[[], Iterable[Example]]
Unit = Literal["epochs", "steps"]

_WEIGHTS = "training.score_weights"
_NO_NUMBERS = ("_per_type", "_per_feat", "_desc")  # how the names of spaCy's scores end that are tables or texts


class TrainingConfigWarning(UserWarning):
    """With these settings in `[training]`, spaCy's loop ignores a weight or keeps an untrained pipeline."""


class End(NamedTuple):
    """What ends a training.

    Attributes:
        step: After which step, from 0.
        setting: By which setting of `[training]`.
    """

    step: int
    setting: str


def warn_about_training(nlp: Language, get_examples: GetExamples) -> None:
    """Warn where `spacy train` would ignore a weight, or evaluate no step but the first.

    Args:
        nlp: The pipeline.
        get_examples: Gives the training data.
    """
    training = nlp.config.interpolate()["training"]
    if unknown := find_unknown_scores(nlp, training["score_weights"]):
        names = ", ".join(unknown)
        _warn(f"{_WEIGHTS}: no component gives {names}, so spaCy ignores the weight; see `spacy-bertft evaluate`.")
    end, eval_frequency = find_end(training, get_examples), training["eval_frequency"]
    if end is not None and end.step < eval_frequency:
        advice = "Raise patience, or set it to 0" if end.setting == "patience" else "Lower eval_frequency"
        _warn(
            f"training.{end.setting} = {training[end.setting]} ends training with step {end.step}. Up to there spaCy "
            f"evaluates only step 0 (eval_frequency = {eval_frequency}), so model-best will be untrained. {advice}, or "
            "train with `spacy-bertft train`, which evaluates the last step."
        )


def check_training(nlp: Language) -> None:
    """Raise where a training by `spacy-bertft train` would not be what was meant.

    Args:
        nlp: The pipeline.

    Raises:
        SettingError: A number of steps is below what is allowed, or a score with a weight is given by no component or
            is no number.
    """
    training = nlp.config.interpolate()["training"]
    for name, least, expected in (
        ("eval_frequency", 1, "a positive number of steps"),
        ("max_steps", 0, "a number of steps, or 0 for no limit"),
        ("patience", 0, "a number of steps, or 0 to never stop early"),
    ):
        check_setting(f"training.{name}", training[name], training[name] >= least, expected)
    weights: dict[str, float | None] = training["score_weights"]
    scores = list_scores(nlp) or {}
    numbers = sorted(name for name, score in scores.items() if _may_be_number(name, score))
    expected = f"scores that this pipeline gives: {', '.join(numbers)}"
    if unknown := find_unknown_scores(nlp, weights):
        raise SettingError(_WEIGHTS, ", ".join(unknown), expected)
    tables = [name for name in scores if weights.get(name) is not None and not _may_be_number(name, scores[name])]
    if tables:
        raise SettingError(_WEIGHTS, ", ".join(tables), f"null for what is no number, and weights for {expected}")


def find_end(training: Mapping[str, Any], get_examples: GetExamples | None = None) -> End | None:
    """Find what ends a training if no step is better than step 0, or None if nothing does.

    Args:
        training: The section `[training]`.
        get_examples: Gives the training data; None to leave epochs out of account.
    """
    # spaCy stops where a number that is not 0 is reached, and at once by a negative one.
    ends = [End(max(0, training[name]), name) for name in ("max_steps", "patience") if training[name]]
    n_epochs, eval_frequency = training["max_epochs"], training["eval_frequency"]
    if get_examples is not None and n_epochs > 0 and all(end.step >= eval_frequency for end in ends):
        # No more batches are made than it takes to reach the second evaluation.
        n_batches = _count_batches(training, get_examples, limit=eval_frequency // n_epochs + 1)
        ends += [] if n_batches is None else [End(max(0, n_batches * n_epochs - 1), "max_epochs")]
    return min(ends, default=None)


def find_unknown_scores(nlp: Language, weights: Mapping[str, float | None]) -> list[str]:
    """Find the scores that have a weight and are given by no component, in this pipeline or in another one.

    A weight of 0 or null makes no difference, whatever it is for.
    """
    # `nlp.factory_names` lacks those that were registered after the language.
    factories = registry.factories.get_all()
    defaults = [nlp.get_factory_meta(factory).default_score_weights or {} for factory in factories]
    declared = {name for each in defaults for name in each}
    undeclared = {name: weight for name, weight in weights.items() if weight and name not in declared}
    return find_missing_scores(nlp, undeclared) if undeclared else []


def find_missing_scores(nlp: Language, weights: Mapping[str, float | None]) -> list[str]:
    """Find the scores that have a weight and that only components give which this pipeline does not have."""
    scores = list_scores(nlp)
    return [] if scores is None else sorted(name for name, weight in weights.items() if weight and name not in scores)


def list_scores(nlp: Language) -> dict[str, Any] | None:
    """List the scores that an evaluation of a pipeline gives, as they are without any example.

    Returns:
        By name; None if a scorer cannot do without examples, so that what it gives is not known.
    """
    scores: dict[str, Any] = {"speed": None}
    # As spaCy's `Scorer` does, with the components that are disabled because they are frozen.
    for scored in (nlp.tokenizer, *(component for _, component in nlp.components)):
        if hasattr(scored, "score"):
            try:
                scores |= scored.score([])
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                return None
    return scores


def _may_be_number(name: str, score: Any) -> bool:
    return not isinstance(score, (Mapping, str)) and not name.endswith(_NO_NUMBERS)


def _count_batches(training: Mapping[str, Any], get_examples: GetExamples, *, limit: int) -> int | None:
    """Count the batches of an epoch, up to a limit; None if this is no training by the config."""
    try:
        batcher = registry.resolve({"batcher": training["batcher"]})["batcher"]
        with keep_random_state():
            return sum(1 for _ in islice(batcher(get_examples()), limit))
    except (BertftError, OSError, ValueError):  # a batcher, or its encoder, that is not here
        return None


def _warn(message: str) -> None:
    warnings.warn(message, TrainingConfigWarning, stacklevel=4)


# No `from __future__ import annotations`: confection reads signatures at run time.


def configure_gradual_unfreezing(
    component: str, every: int = 1, unit: Unit = "epochs"
) -> Callable[[Language, dict[str, Any]], None]:
    """Configure `spacy-bertft.gradual_unfreezing.v1`, a callback for `training.before_update`.

    At first only the head learns; then the top layer joins, then the one below it, at last the embeddings.
    What `frozen_layers` names never joins.

    Args:
        component: Name of the component in the pipeline.
        every: After how many epochs or steps the next layer is unfrozen.
        unit: `epochs` or `steps`.

    Raises:
        SettingError: A setting is outside what is allowed.

    Source: Howard & Ruder (2018), section 3.3.
    """
    check_setting("every", every, every > 0, "a positive number")
    check_setting("unit", unit, unit in ("epochs", "steps"), "epochs or steps")
    key = {"epochs": "epoch", "steps": "step"}[unit]
    return partial(_unfreeze, component, every, key)


def _unfreeze(component: str, every: int, key: str, nlp: Language, progress: dict[str, Any]) -> None:
    ours = {name: pipe.model for name, pipe in nlp.pipeline if isinstance(pipe, BertPipe)}
    source = ours[component].find_source() if component in ours else None
    if source is None:
        expected = f"a component with an encoder of its own: {', '.join(ours) or 'this pipeline has none'}"
        raise SettingError("component", component, expected)
    source.module.thaw(progress[key] // every)
