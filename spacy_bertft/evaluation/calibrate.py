"""Calibration: temperature scaling on held-out data, stored in a trained pipeline (Guo et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from spacy_bertft.components.calibration import calibrate as fit
from spacy_bertft.components.calibration import collect_calibration_data, find_calibrated
from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.pipelines import (
    check_data,
    choose_target,
    find_pipeline_dir,
    read_examples,
    read_inputs,
    write_stored,
)
from spacy_bertft.components.question_answering import BertQa
from spacy_bertft.errors import SettingError
from spacy_bertft.evaluation.charts import draw_calibration
from spacy_bertft.evaluation.reliability import Confidence, measure_confidence
from spacy_bertft.evaluation.tables import Rows
from spacy_bertft.pictures.page import Page, Table
from spacy_bertft.pictures.plot import check_plot, write_plot
from spacy_bertft.training.calibration import may_fit


@dataclass(frozen=True)
class CalibrationReport:
    """What was calibrated.

    Attributes:
        path: The pipeline.
        figures: Of every component, on the documents that it was fitted on and on those given to test it.
        not_fitted: Components whose predictions were all correct or all wrong, or that made none.
        thresholds: By component, from which probability of no answer on a question gets none.
        filtered: Components whose predictions have a least probability, so that there may be more or fewer now.
    """

    path: Path
    figures: tuple[Confidence, ...]
    not_fitted: tuple[str, ...]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    filtered: tuple[str, ...] = ()

    def format_rows(self) -> Rows:
        """Lay out the figures: expected calibration error (ECE) in percent and log loss in nats, before and after.

        In parentheses is the error that chance would leave, on average, if all probabilities were exact.
        """
        head = ("", "count", "temperature", "ECE, % (chance)", "log loss")
        return [head, *map(_format_row, self.figures)]

    def __str__(self) -> str:
        unless = ", except for which questions get no answer" * bool(self.thresholds)
        unless += f", except for which of {', '.join(self.filtered)} reach min_score or threshold" * bool(self.filtered)
        notes = [f"{self.path}: its probabilities are calibrated now; its predictions are the same{unless}."]
        for name, threshold in self.thresholds.items():
            notes.append(f"{name} gives no answer from a probability of {threshold:.3f} on that there is none.")
        if self.not_fitted:
            names = ", ".join(self.not_fitted)
            notes.append(f"Left as they were, since not both correct and wrong predictions were found: {names}.")
        return " ".join(notes)


def calibrate(
    pipeline: Path | str,
    dev_path: Path | str,
    output_dir: Path | str | None = None,
    *,
    test_path: Path | str | None = None,
    plot_path: Path | str | None = None,
) -> CalibrationReport:
    """Calibrate probabilities: of predictions with 80 %, 80 in 100 should be correct.

    Temperature scaling on held-out data (Guo et al. 2017): fits one number for each component, by which its scores
    are divided, and stores it in the pipeline. The best prediction stays the same.

    Args:
        pipeline: A trained pipeline: its directory, or its name if it is installed.
        dev_path: A .spacy file with gold annotation, not used for training.
        output_dir: Write the pipeline to this directory; by default it is changed in place.
        test_path: Measure on this .spacy file too.
        plot_path: Draw reliability before and after, and precision and recall by min_score. An .html, .png or .svg
            file.

    Raises:
        DataError: There is no such pipeline or file; or `output_dir` is something else than a pipeline.
        SettingError: The pipeline has no component with probabilities, or an installed one is not to be changed.
        MissingExtraError: A plot is wanted, and matplotlib is not installed.
    """
    plot_path = None if plot_path is None else Path(plot_path)
    if plot_path is not None:
        check_plot(plot_path)
    if test_path is not None:
        check_data(test_path)
    target = choose_target(pipeline, output_dir)
    nlp, examples = read_inputs(pipeline, dev_path)
    pipes = find_calibrated(nlp)
    if not pipes:
        expected = (
            "one with bert_ner, bert_spancat, bert_textcat, bert_textcat_multilabel, bert_qa or bert_multiple_choice"
        )
        raise SettingError("pipeline", str(pipeline), expected)
    earlier = {name: pipe.cfg["temperature"] for name, pipe in pipes.items()}
    by_path = {Path(dev_path): fit(nlp, examples)}
    if test_path is not None:
        by_path[Path(test_path)] = collect_calibration_data(nlp, read_examples(Path(test_path), nlp))
    figures = tuple(
        measure_confidence(name, path, answers, earlier[name], pipes[name].cfg["temperature"])
        for path, by_name in by_path.items()
        for name, answers in by_name.items()
        if len(answers.is_correct)
    )
    write_stored(find_pipeline_dir(nlp), target, {name: pipe.list_stored() for name, pipe in pipes.items()})
    not_fitted = tuple(name for name, answers in by_path[Path(dev_path)].items() if not may_fit(answers))
    thresholds = {
        name: pipe.cfg["threshold"]
        for name, pipe in pipes.items()
        if isinstance(pipe, BertQa) and pipe.cfg["threshold"] is not None
    }
    filtered = tuple(name for name, pipe in pipes.items() if _is_filtered(pipe))
    report = CalibrationReport(target, figures, not_fitted, thresholds, filtered)
    if plot_path is not None and figures:
        tables = [Table(report.format_rows()), *(_tabulate(one) for one in figures)]
        shown = "Reliability before and after; precision and recall by min_score"
        page = Page(f"Calibration of {target.name}", str(report), shown, tables, is_wide=True)
        write_plot(partial(draw_calibration, figures), plot_path, page)
    return report


def _is_filtered(pipe: BertComponent) -> bool:
    """Tell whether a temperature changes what is predicted: where one half is not what divides yes and no."""
    neutral = 0.0 if getattr(pipe, "exclusive", False) else 0.5
    is_shifted = not isinstance(pipe, BertQa) and pipe.cfg.get("threshold", neutral) != neutral
    return is_shifted or pipe.cfg.get("min_score", 0.0) > 0


def _format_row(one: Confidence) -> tuple[str, ...]:
    errors = " → ".join(f"{100 * each.calibration_error:.2f}" for each in (one.before, one.after))
    errors += f" ({100 * one.after.chance_error:.2f})"
    losses = " → ".join(f"{loss:.3f}" for loss in one.log_losses)
    return (f"{one.component}, {one.data.stem}", f"{one.n_predictions:,}", f"{one.temperature:.3f}", errors, losses)


def _tabulate(one: Confidence) -> Table:
    """Lay out precision and recall for some values of `min_score`."""
    rows: Rows = [("min_score", "kept", "precision", "recall")]
    sweep = one.sweep
    for min_score in np.arange(10) / 10:
        index = int(np.searchsorted(sweep.min_score, min_score))
        if n_kept := len(sweep.min_score) - index:
            shares = (f"{100 * each[index]:.2f}" for each in (sweep.precision, sweep.recall))
            rows.append((f"{min_score:.1f}", f"{n_kept:,}", *shares))
    return Table(rows, f"{one.component} on {one.data.name}")
