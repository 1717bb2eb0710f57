"""`spacy-bertft.calibrate.v1`: temperature scaling of the components of a trained pipeline."""

# No `from __future__ import annotations`: confection reads signatures at run time.

from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Optional

from spacy.language import Language
from spacy.training import Corpus, Example

from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.guarantee import GuaranteedComponent
from spacy_bertft.components.pipelines import collect_by_component, read_corpus
from spacy_bertft.errors import SettingError, check_setting
from spacy_bertft.training.calibration import (
    CalibrationData,
    fit_no_answer_threshold,
    fit_temperature,
    join_calibration_data,
    may_fit,
)


def find_calibrated(nlp: Language) -> dict[str, BertComponent]:
    """Find the components of a pipeline whose predictions have probabilities, by name."""
    pipes = {name: pipe for name, pipe in nlp.pipeline if isinstance(pipe, BertComponent)}
    return {name: pipe for name, pipe in pipes.items() if "temperature" in pipe.cfg}


def collect_calibration_data(nlp: Language, examples: Iterable[Example]) -> dict[str, CalibrationData]:
    """Let every component with probabilities predict, and check which predictions are correct.

    Args:
        nlp: A trained pipeline.
        examples: With gold annotation. Their predicted documents are annotated.
    """
    pipes = find_calibrated(nlp)
    parts = collect_by_component(nlp, examples, pipes, lambda pipe, batch: pipe.collect_calibration_data(batch))
    return {name: join_calibration_data(answers) for name, answers in parts.items()}


def calibrate(nlp: Language, examples: Iterable[Example], frozen: Collection[str] = ()) -> dict[str, CalibrationData]:
    """Fit the temperature of every component with probabilities, on documents that it was not trained on.

    Where some questions have an answer and some have none, the threshold of `bert_qa` is fitted too. A recall that was
    promised is not any more: its threshold belongs to the earlier probabilities. Where not both correct and wrong
    predictions are found, both stay.

    Args:
        nlp: A trained pipeline.
        examples: With gold annotation. Their predicted documents are annotated.
        frozen: Components to leave as they are.

    Returns:
        What it was fitted on, by component.
    """
    collected = collect_calibration_data(nlp, examples)
    for name, pipe in find_calibrated(nlp).items():
        if name in frozen:
            continue
        if may_fit(collected[name]):
            pipe.cfg["temperature"] = fit_temperature(collected[name])
            if isinstance(pipe, GuaranteedComponent):
                pipe.drop_guarantee()
        threshold = fit_no_answer_threshold(collected[name], pipe.cfg["temperature"])
        if threshold is not None:
            pipe.cfg["threshold"] = threshold
    return collected


def configure_calibrate(path: Optional[Path]) -> Callable[[Language], Language]:  # noqa: UP045
    """Configure a callback for `training.before_to_disk`: what is saved is calibrated on the development data.

    Frozen components are left as they are.

    Args:
        path: A `.spacy` file with gold annotation, such as `${paths.dev}`, or a directory of them; if null, what
            `training.dev_corpus` reads.

    Raises:
        SettingError: There is no such file.
    """
    path = None if path is None else Path(path)
    is_read = path is None or path.is_dir() or (path.is_file() and path.suffix == ".spacy")
    expected = (
        "a .spacy file with the development data, a directory of them, or null for what training.dev_corpus reads"
    )
    check_setting("path", str(path), is_read, expected)
    return partial(_calibrate_on, path)


def _calibrate_on(path: Path | None, nlp: Language) -> Language:
    if not find_calibrated(nlp):
        expected = "no such callback: no component of the pipeline gives probabilities"
        raise SettingError("training.before_to_disk", "spacy-bertft.calibrate.v1", expected)
    config = nlp.config.interpolate()
    examples = read_corpus(config, nlp, "dev_corpus") if path is None else Corpus(path)(nlp)
    calibrate(nlp, examples, config["training"]["frozen_components"])
    return nlp
