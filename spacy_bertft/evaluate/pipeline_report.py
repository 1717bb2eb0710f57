"""How good a pipeline is, on one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.training import Example
from tqdm import tqdm

from spacy_bertft.components.ner import BertNer
from spacy_bertft.components.pipelines import name_pipelines
from spacy_bertft.components.tagger import BertTagger
from spacy_bertft.components.text_component import TextComponent
from spacy_bertft.data.stats import CorpusStats, StatsKind, measure_corpus
from spacy_bertft.errors import DataError, SettingError
from spacy_bertft.evaluate.bootstrap import Resampling
from spacy_bertft.evaluate.category_pipes import CategoryPipe, find_category_pipes
from spacy_bertft.evaluate.comparison import match_sections
from spacy_bertft.evaluate.counts import measure_figures
from spacy_bertft.evaluate.inputs import read_inputs
from spacy_bertft.evaluate.page.layout import ReportPage, format_report
from spacy_bertft.evaluate.page.tables import Rows, format_share
from spacy_bertft.evaluate.sections.cats import measure_cats
from spacy_bertft.evaluate.sections.entities import measure_entities
from spacy_bertft.evaluate.sections.section import Section
from spacy_bertft.evaluate.sections.tags import measure_tags
from spacy_bertft.evaluate.training_log import find_log, read_training_log
from spacy_bertft.models.heads.head import HeadModel
from spacy_bertft.output import replace_when_done
from spacy_bertft.pictures.plot import check_plot

_STATS_KINDS: dict[str, StatsKind] = {"entities": "ents", "categories": "cats", "tags": "tags"}


@dataclass(frozen=True)
class PipelineReport:
    """What was reported.

    Attributes:
        path: The page.
        n_docs: How many documents the pipeline was measured on.
        sections: What each component has to show.
        resampling: Which documents were drawn for the intervals.
    """

    path: Path
    n_docs: int
    sections: tuple[Section, ...]
    resampling: Resampling

    def format_rows(self) -> Rows:
        """Lay out the F1 of all labels together, in percent with its interval, for every component and level."""
        rows: Rows = [("", "F1", "gold")]
        for section in self.sections:
            for level in section.levels if section.has_gold else ():
                figures = measure_figures(level.counts, self.resampling)
                share = format_share(float(figures.shares[0, 2]), figures.intervals[0, 2])
                rows.append((f"{section.component}, {level.name}", share, f"{figures.n_gold[0]:,}"))
        return rows

    def __str__(self) -> str:
        without = [section.component for section in self.sections if not section.has_gold]
        note = f" Without gold annotation: {', '.join(without)}." if without else ""
        return f"{self.n_docs:,} documents; the page is {self.path}.{note}"


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

    Figures by label with bootstrap intervals, confusion matrix, kinds of errors, reliability, lengths, the learning
    curve and the most confident errors, for every component of ours.

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
        DataError: There is no such pipeline, file or log; or no document has gold annotation that a component of ours
            could be measured by.
        ColumnFormatError: A line of the log cannot be read.
        SettingError: A setting is outside what is allowed, or a pipeline has no component of ours, or not the same.
        MissingExtraError: matplotlib is not installed.
    """
    output = Path(output_path)
    _check_output(output)
    resampling = Resampling(n_resamples, seed)
    if n_errors < 0:
        raise SettingError("n_errors", n_errors, "0 or more")
    found_log = find_log(pipeline, log_path)
    log = None if found_log is None else read_training_log(found_log)
    nlp, sections, n_docs = _measure(pipeline, data_path, n_errors)
    names, pairs = name_pipelines([pipeline] if against is None else [pipeline, against]), []
    if against is not None:
        pairs = match_sections(sections, _measure(against, data_path, 0)[1], (names[0], names[1]))
    lengths = _measure_lengths(nlp, Path(data_path), next(each for each in sections if each.has_gold))
    page = ReportPage(names, Path(data_path).name, n_docs, sections, pairs, lengths, log, resampling)
    with replace_when_done(output) as path:
        path.write_text(format_report(page), encoding="utf-8", newline="\n")
    return PipelineReport(output, n_docs, tuple(sections), resampling)


def _check_output(output: Path) -> None:
    if output.suffix != ".html":
        raise SettingError("output", str(output), "a name that ends in .html")
    if output.is_dir():
        raise SettingError("output", str(output), "the path of a file; a folder stands there")
    check_plot(output)


def _measure(pipeline: Path | str, data_path: Path | str, n_errors: int) -> tuple[Language, list[Section], int]:
    nlp, examples = read_inputs(pipeline, data_path)
    if not _find_ours(nlp):
        expected = "a pipeline with bert_ner, bert_tagger, bert_textcat or bert_textcat_multilabel; this has none"
        raise SettingError("pipeline", str(pipeline), expected)
    # As `Language.evaluate` does, whose scores these are.
    docs = nlp.pipe(example.predicted for example in examples)
    annotated = [
        Example(doc, example.reference)
        for doc, example in zip(tqdm(docs, "Annotating", len(examples), disable=None), examples, strict=True)
    ]
    sections = measure_sections(nlp, annotated, n_errors)
    if not any(section.has_gold for section in sections):
        kinds = " or ".join(sorted({section.kind for section in sections}))
        raise DataError(f"{data_path}: no document has gold {kinds}. Expected annotated documents, as convert writes.")
    return nlp, sections, len(examples)


def measure_sections(nlp: Language, examples: Sequence[Example], n_errors: int) -> list[Section]:
    """Measure every component of ours that has labels, in the order of the pipeline.

    Args:
        nlp: The pipeline.
        examples: Annotated by it.
        n_errors: How many mistakes of each component to show.
    """
    cats: dict[str, CategoryPipe] = {pipe.name: pipe for pipe in find_category_pipes(nlp)}
    sections = []
    for name, component in _find_ours(nlp).items():
        if isinstance(component, BertNer):
            sections.append(measure_entities(name, component, examples, _find_elsewhere(nlp, component), n_errors))
        elif isinstance(component, TextComponent):
            sections.append(measure_cats(cats[name], component, examples, n_errors))
        else:
            sections.append(measure_tags(name, component, examples))
    return sections


def _find_ours(nlp: Language) -> dict[str, BertNer | BertTagger | TextComponent]:
    return {name: pipe for name, pipe in nlp.pipeline if isinstance(pipe, (BertNer, BertTagger, TextComponent))}


def _find_elsewhere(nlp: Language, component: BertNer) -> set[str]:
    """Find the labels that only other components for entities give."""
    others: list[Any] = [pipe for _, pipe in nlp.pipeline if isinstance(pipe, BertNer) and pipe is not component]
    return {label for pipe in others for label in pipe.labels} - set(component.labels)


def _measure_lengths(nlp: Language, data_path: Path, section: Section) -> CorpusStats:
    """Measure the texts, in the pieces of the encoder of one component where it has one of ours."""
    component: Any = nlp.get_pipe(section.component)
    kind = _STATS_KINDS[section.kind]
    encoder = component.model.find_source() if isinstance(component.model, HeadModel) else None
    if encoder is None:
        return measure_corpus(data_path, kind=kind)
    window = encoder.window.size + encoder.tokenizer.n_special
    return measure_corpus(data_path, encoder.tokenizer.count_pieces, window, kind=kind)
