"""The page about how good a pipeline is: renders what `evaluation` measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import srsly
from markupsafe import Markup
from spacy.language import Language

from spacy_bertft.checkpoints.checkpoint import read_config
from spacy_bertft.components.pipelines import name_pipelines, read_inputs
from spacy_bertft.data.histogram import draw_histograms
from spacy_bertft.data.stats import CorpusStats, StatsKind, measure_corpus
from spacy_bertft.errors import CheckpointError, DataError, SettingError, check_setting, format_count
from spacy_bertft.evaluation import charts, tables
from spacy_bertft.evaluation.bootstrap import Resampling
from spacy_bertft.evaluation.counts import compare_f1, measure_figures
from spacy_bertft.evaluation.evaluate import Evaluation, evaluate_examples
from spacy_bertft.evaluation.numbers import compare_numbers, measure_number
from spacy_bertft.evaluation.reliability import describe_calibration
from spacy_bertft.evaluation.results import ComponentResult
from spacy_bertft.evaluation.training_log import find_log, read_training_log
from spacy_bertft.models.encoder.build import BertEncoder
from spacy_bertft.models.heads.head import HeadModel
from spacy_bertft.output import replace_when_done
from spacy_bertft.pictures.page import render_template
from spacy_bertft.pictures.plot import check_plot, render_element

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STATS_KINDS: dict[str, StatsKind] = {
    "entities": "ents",
    "spans": "spans",
    "categories": "cats",
    "tags": "tags",
    "numbers": "numbers",
    "choices": "cats",
    "answers": "cats",  # of which there are none: only lengths are shown
}

_PACKAGES = ("spacy-bertft", "spacy", "transformers", "torch")

# A matrix of more classes cannot be read; a table lists their most frequent confusions.
_MAX_CLASSES = 40


@dataclass(frozen=True)
class PipelineReport:
    """What was reported.

    Attributes:
        path: The page.
        evaluation: What was measured.
        resampling: Which documents were drawn for the intervals.
    """

    path: Path
    evaluation: Evaluation
    resampling: Resampling

    def format_rows(self) -> tables.Rows:
        """Lay out the micro-averaged F1 of every component and level, Pearson's correlation of every number.

        Both are in percent, with their intervals.
        """
        results = [result for result in self.evaluation.results if result.has_gold]
        return [
            ("", "F1" + ", Pearson" * any(result.numbers for result in results), "support"),
            *(
                (f"{result.component}, {level.name}", *tables.format_f1(measure_figures(level.counts, self.resampling)))
                for result in results
                for level in result.levels
            ),
            *(
                (f"{result.component}, {each.name}", *tables.format_correlation(measure_number(each, self.resampling)))
                for result in results
                for each in result.numbers
            ),
        ]

    def __str__(self) -> str:
        without = [result.component for result in self.evaluation.results if not result.has_gold]
        note = f" Without gold annotation: {', '.join(without)}." if without else ""
        return f"{format_count(self.evaluation.n_docs, 'document')}; the page is {self.path}.{note}"


def report(
    pipeline: Path | str,
    data_path: Path | str,
    output_path: Path | str,
    *,
    against: Path | str | None = None,
    log_path: Path | str | None = None,
    n_errors: int = 20,
    n_resamples: int = 1000,
    seed: int = 0,
) -> PipelineReport:
    """Write one page about how good a pipeline is.

    A summary with F1, the weakest labels and calibration in words; then for every component of ours figures by label
    with bootstrap intervals, confusion matrix, error types, reliability and the most confident errors; lengths, and the
    learning curve.

    Args:
        pipeline: A trained pipeline: its directory, or its name if it is installed.
        data_path: A .spacy file with gold annotation, not used for training.
        output_path: The .html page to write.
        against: Compare with this pipeline on the same documents.
        log_path: The output_file of spaCy's ConsoleLogger, for the learning curve; by default log.jsonl next to the
            directory of the pipeline, if there is one.
        n_errors: Show this many of the most confident errors of each component.
        n_resamples: How often documents are drawn for intervals and p-values.
        seed: Seed of these random numbers.

    Raises:
        DataError: There is no such pipeline, file or log; or no document has gold annotation that a component can be
            measured by.
        ColumnFormatError: A line of the log cannot be read.
        SettingError: A setting is outside what is allowed, or a pipeline has no component to measure, or not the same.
        MissingExtraError: matplotlib is not installed.
    """
    output = Path(output_path)
    check_setting("output", str(output), output.suffix == ".html", "a name that ends in .html")
    check_setting("output", str(output), not output.is_dir(), "the path of a file; this is a folder")
    check_plot(output)
    resampling = Resampling(n_resamples, seed)
    check_setting("n_errors", n_errors, n_errors >= 0, "0 or more")
    found_log = find_log(pipeline, log_path)
    log = None if found_log is None else read_training_log(found_log)
    nlp, evaluation = _evaluate(pipeline, data_path, n_errors)
    names = name_pipelines([pipeline] if against is None else [pipeline, against])
    pairs = []
    if against is not None:
        pairs = match_results(evaluation.results, _evaluate(against, data_path, 0)[1].results, (names[0], names[1]))
    lengths = _measure_lengths(nlp, Path(data_path), next(each for each in evaluation.results if each.has_gold))
    page = _render(
        resampling,
        title=f"{names[0]} on {Path(data_path).name}",
        facts=_list_facts(nlp, evaluation),
        names=names,
        evaluation=evaluation,
        pairs=pairs,
        lengths=lengths,
        log=log,
    )
    with replace_when_done(output) as path:
        path.write_text(page, encoding="utf-8", newline="\n")
    return PipelineReport(output, evaluation, resampling)


def _render(resampling: Resampling, **values: Any) -> str:
    """Render the page; the template gets what was measured, and functions that compute, format and draw figures."""
    numbers = count(1)

    def draw(function: Callable[..., Figure], shown: object, name: str) -> Markup:
        return render_element(partial(function, shown), name, f"p{next(numbers)}-")  # each picture has its own ids

    return render_template(
        "evaluation/report.html.jinja",
        is_wide=True,
        max_classes=_MAX_CLASSES,
        charts=charts,
        tables=tables,
        describe_calibration=describe_calibration,
        draw=draw,
        draw_lengths=draw_histograms,
        resampling=resampling,
        measure=partial(measure_figures, resampling=resampling),
        compare=partial(compare_f1, resampling=resampling),
        measure_number=partial(measure_number, resampling=resampling),
        compare_numbers=partial(compare_numbers, resampling=resampling),
        **values,
    )


def match_results(
    first: Sequence[ComponentResult], second: Sequence[ComponentResult], names: tuple[str, str]
) -> list[tuple[ComponentResult, ComponentResult]]:
    """Match every component of one pipeline with the one of the other that does the same: by its name, or the only one.

    Args:
        first: The results of one pipeline.
        second: Those of the other.
        names: Names of the two pipelines.

    Raises:
        SettingError: There is none, or several of other names.
    """
    pairs = []
    for result in first:
        alike = [each for each in second if each.factory == result.factory]
        named = [each for each in alike if each.component == result.component] or alike
        if len(named) != 1:
            found = ", ".join(f"{each.component} ({each.factory})" for each in second)
            expected = f"a pipeline with one {result.factory} named '{result.component}', as in {names[0]}"
            raise SettingError("against", names[1], f"{expected}; it has {found}")
        pairs.append((result, named[0]))
    return pairs


def _evaluate(pipeline: Path | str, data_path: Path | str, n_errors: int) -> tuple[Language, Evaluation]:
    nlp, examples = read_inputs(pipeline, data_path)
    evaluation = evaluate_examples(nlp, examples, n_errors)
    if not evaluation.results:
        expected = (
            "a pipeline with bert_ner, bert_spancat, bert_tagger, bert_textcat, bert_textcat_multilabel, "
            "bert_regressor, bert_qa or bert_multiple_choice; this has none"
        )
        raise SettingError("pipeline", str(pipeline), expected)
    if not any(result.has_gold for result in evaluation.results):
        kinds = " or ".join(sorted({result.kind for result in evaluation.results}))
        raise DataError(f"{data_path}: no document has gold {kinds}. Expected annotated documents, as convert writes.")
    return nlp, evaluation


def _list_facts(nlp: Language, evaluation: Evaluation) -> dict[str, str]:
    """List what the figures depend on: the encoders, the day and the versions."""
    encoders = [_find_encoder(nlp, result) for result in evaluation.results]
    names = dict.fromkeys(name_encoder(each) for each in encoders if each)
    versions = [f"{nlp.meta['lang']}_{nlp.meta['name']} {nlp.meta['version']}"]
    versions += [f"{package} {version(package)}" for package in _PACKAGES]
    return {"Encoder": ", ".join(names), "Date": date.today().isoformat(), "Versions": ", ".join(versions)}


def _find_encoder(nlp: Language, result: ComponentResult) -> BertEncoder | None:
    """Find the encoder of a component that has one of ours."""
    component: Any = nlp.get_pipe(result.component)
    return component.model.find_source() if isinstance(component.model, HeadModel) else None


def name_encoder(encoder: BertEncoder) -> str:
    """Name an encoder; one that was read from a folder by its configuration, if that is still there, and its size."""
    folder = Path(encoder.settings.name)
    name = "/".join(folder.parts[-2:])  # of a folder the end; a hub id has no more than two parts
    with suppress(CheckpointError):
        if read_config(folder) == encoder.shim.spec["config"]:
            source = srsly.read_json(folder / "config.json").get("_name_or_path")
            name = f"{name}, from {source}" if source else name
    family = encoder.shim.spec["config"]["model_type"]
    return f"{name} ({family}, {encoder.module.n_layers} layers of width {encoder.module.width})"


def _measure_lengths(nlp: Language, data_path: Path, result: ComponentResult) -> CorpusStats:
    """Measure the texts, also in the subword tokens of the encoder of a component where it has one of ours."""
    kind, encoder = _STATS_KINDS[result.kind], _find_encoder(nlp, result)
    if encoder is None:
        return measure_corpus(data_path, kind=kind)
    window = encoder.window.size + encoder.tokenizer.n_special
    return measure_corpus(data_path, encoder.tokenizer.count_pieces, window, kind=kind)
