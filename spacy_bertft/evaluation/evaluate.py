"""The scores of a pipeline on annotated documents, and what is measured of each of its components."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import srsly
from spacy import displacy
from spacy.language import Language
from spacy.scorer import Scorer
from spacy.tokens import Doc
from spacy.training import Example
from thinc.util import convert_recursive
from tqdm import tqdm

from spacy_bertft.components.category_scores import UnknownLabelsWarning
from spacy_bertft.components.ner import BertNer
from spacy_bertft.components.pipelines import hash_pipeline, read_inputs
from spacy_bertft.errors import SettingError, format_count
from spacy_bertft.evaluation.bootstrap import Resampling
from spacy_bertft.evaluation.categories import (
    IS_EXCLUSIVE_BY_FACTORY,
    measure_answers,
    measure_categories,
    measure_tags,
    override_threshold,
)
from spacy_bertft.evaluation.charts import draw_panels, plan_f1, plan_matrix
from spacy_bertft.evaluation.counts import measure_figures
from spacy_bertft.evaluation.entities import measure_entities
from spacy_bertft.evaluation.numbers import measure_regressor
from spacy_bertft.evaluation.results import ComponentResult
from spacy_bertft.evaluation.tables import Rows, format_category_scores, format_entity_scores, format_number_scores
from spacy_bertft.output import replace_when_done
from spacy_bertft.pictures.page import Page, Table
from spacy_bertft.pictures.plot import check_plot, write_plot

_N_DRAWN = 25  # as `spacy evaluate` draws
_NAMES = {
    "ents_token_f": "token-level micro F1 over all tags",
    "tag_acc": "tag accuracy",
    "qa_em": "exact match",
    "qa_f1": "F1 of answers",
    "qa_no_answer_acc": "accuracy on questions without an answer",
    "choice_acc": "accuracy of choices",
    "pos_acc": "part-of-speech accuracy",
}
# What measures the predictions of the components of a factory.
_MEASURES: dict[str, Callable[..., ComponentResult]] = {
    **dict.fromkeys(IS_EXCLUSIVE_BY_FACTORY, measure_categories),
    **dict.fromkeys(("bert_ner", "bert_spancat"), measure_entities),
    **dict.fromkeys(("bert_qa", "bert_multiple_choice"), measure_answers),
    "bert_tagger": measure_tags,
    "bert_regressor": measure_regressor,
}


@dataclass(frozen=True)
class Evaluation:
    """What was measured of a pipeline.

    Attributes:
        scores: By the names of spaCy; shares between 0 and 1, `speed` in words per second. Of several components with
            categories, the `cats_…` are those of the last one, as in spaCy, and `cats_by_component` has those of each;
            so it is with `numbers_…`.
        n_docs: How many documents were scored.
        results: What was measured of each component of ours, and of those of spaCy for categories.
    """

    scores: dict[str, Any]
    n_docs: int
    results: tuple[ComponentResult, ...] = ()

    @property
    def categories(self) -> list[ComponentResult]:
        """The results of components with categories."""
        return [each for each in self.results if each.kind == "categories"]

    def format_tables(self) -> list[Rows]:
        """Lay out the figures of entities, categories and numbers, in percent: those that there are."""
        tables = [format_category_scores(each.component, each.scores) for each in self.categories]
        tables += [format_number_scores(each.component, each.scores) for each in self.results if each.kind == "numbers"]
        # Of each group of `doc.spans` that has been scored.
        names = [name for name in self.scores if re.fullmatch("(ents|spans_.*)_per_type", name)]
        groups = [name.removesuffix("_per_type") for name in names]
        entities = [format_entity_scores(self.scores, group) for group in sorted(groups)]
        return [rows for rows in (*entities, *tables) if rows]

    def format_confusions(self) -> list[Rows]:
        """Lay out the confusion matrices of categories or, of many classes, the most frequent confusions."""
        matrices = [each.confusion for each in self.categories if each.confusion and each.has_gold]
        return [rows for matrix in matrices if (rows := matrix.format_rows())]

    def format_notes(self) -> str:
        """Name the other figures, in percent."""
        shares = {name: self.scores.get(key) for key, name in _NAMES.items()}
        errors = self.scores.get("calibration_error", {})
        shares |= {f"expected calibration error of {name}": error for name, error in errors.items()}
        notes = [f"{name} {100 * share:.2f} %" for name, share in shares.items() if share is not None]
        if not notes and not self.format_tables():
            notes = ["nothing to score: the documents have no gold annotation of a kind that the pipeline predicts"]
        notes += [f"{each.component}: {'; '.join(each.notes)}" for each in self.results if each.notes]
        documents = format_count(self.n_docs, "document")
        return "; ".join([*notes, documents, f"{self.scores['speed']:,.0f} words per second"]) + "."


def evaluate(
    pipeline: Path | str,
    data_path: Path | str,
    output_path: Path | str | None = None,
    plot_path: Path | str | None = None,
    threshold: float | None = None,
    entities_path: Path | str | None = None,
) -> Evaluation:
    """Score a pipeline on documents with gold annotation.

    Entities: precision, recall and F1 by label, where both ends have to be correct, and the token-level F1. Tags:
    accuracy. Categories: figures by label, and the confusion matrix. Numbers: Pearson's and Spearman's correlation,
    and the mean squared error. Answers: exact match and F1, as SQuAD counts them. Choices:
    accuracy.

    Args:
        pipeline: A trained pipeline: its directory, or its name if it is installed.
        data_path: A .spacy file with gold annotation, as convert writes it.
        output_path: Write all scores to this JSON file, with a hash that tells package which training they are of.
        plot_path: Draw categories: the confusion matrix or, where texts may have several labels, the F1 by label.
            An .html, .png or .svg file.
        threshold: Where texts may have several labels, predict those with at least this score, from 0 to 1; by
            default as trained.
        entities_path: Draw the entities of the first 25 texts with displaCy: an .html file.

    Raises:
        DataError: There is no such pipeline, or no documents to score it on.
        SettingError: The plot has another ending, or the threshold is not between 0 and 1; or the pipeline has no
            categories for them, or no entities to draw.
        MissingExtraError: A plot is wanted, and matplotlib is not installed.
    """
    if plot_path is not None:
        check_plot(Path(plot_path))
    nlp, examples = read_inputs(pipeline, data_path)
    if threshold is not None:
        override_threshold(nlp, threshold)
    factories = {nlp.get_pipe_meta(name).factory for name in nlp.pipe_names}
    if plot_path is not None and not factories & IS_EXCLUSIVE_BY_FACTORY.keys():
        raise SettingError("plot", str(plot_path), "none, since the pipeline has no categories to draw")
    evaluation = evaluate_examples(nlp, examples)
    if entities_path is not None:
        docs = list(nlp.pipe(_copy_doc(nlp, example) for example in examples[:_N_DRAWN]))
        if not any(doc.ents or doc.has_annotation("ENT_IOB") for doc in docs):
            raise SettingError("entities", str(entities_path), "none, since the pipeline has no entities to draw")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"\[W006\]")  # a text without entities
            html = displacy.render(docs, style="ent", page=True, jupyter=False)
        with replace_when_done(Path(entities_path)) as path:
            path.write_text(html, encoding="utf-8")
    if output_path is not None:
        with replace_when_done(Path(output_path)) as path:
            srsly.write_json(path, {**evaluation.scores, "training": hash_pipeline(nlp)})
    if plot_path is not None:
        tables = [Table(rows) for rows in evaluation.format_tables() + evaluation.format_confusions()]
        title = f"{Path(pipeline).name} on {Path(data_path).name}"
        panels = [
            plan_matrix(each.confusion, each.component)
            if each.confusion
            else plan_f1(measure_figures(each.levels[0].counts, Resampling()), each.component)
            for each in evaluation.categories
        ]
        # A matrix of many classes is wider than a column of text.
        is_wide = any(panel.width > 5 for panel in panels)
        page = Page(title, evaluation.format_notes(), "The figures of the tables below", tables, is_wide)
        write_plot(partial(draw_panels, panels), Path(plot_path), page)
    return evaluation


def evaluate_examples(nlp: Language, examples: Sequence[Example], n_errors: int = 0) -> Evaluation:
    """Let a pipeline annotate documents, and measure it on them once.

    Args:
        nlp: The pipeline.
        examples: With gold annotation; their predicted documents are not used.
        n_errors: How many of the most confident errors of each component to show.
    """
    start = perf_counter()
    docs = nlp.pipe(_copy_doc(nlp, example) for example in examples)
    annotated = [
        Example(doc, example.reference)
        for doc, example in zip(tqdm(docs, "Annotating", len(examples), disable=None), examples, strict=True)
    ]
    seconds = perf_counter() - start
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownLabelsWarning)  # the notes on each component name them
        by_component = Scorer(nlp).score(annotated, per_component=True)
    results = [_measure(nlp, name, annotated, n_errors) for name, pipe in nlp.pipeline if getattr(pipe, "scorer", None)]
    measured = [each for each in results if each]
    for each in measured:
        by_component[each.component] |= each.scores
    scores = {name: score for part in by_component.values() for name, score in part.items()}
    for kind, prefix in (("categories", "cats"), ("numbers", "numbers")):
        alike = [each.component for each in measured if each.kind == kind]
        if len(alike) > 1:
            scores[f"{prefix}_by_component"] = {name: by_component[name] for name in alike}
    reliability = {each.component: each.reliability for each in measured}
    if errors := {name: each.calibration_error for name, each in reliability.items() if each}:
        scores["calibration_error"] = errors
    scores["speed"] = sum(len(example.predicted) for example in annotated) / seconds
    scores = convert_recursive(lambda value: isinstance(value, np.floating), float, scores)
    return Evaluation(scores, len(examples), tuple(measured))


def _copy_doc(nlp: Language, example: Example) -> Doc:
    nlp.make_doc(example.reference.text)  # the speed includes the tokenizer's, as that of `Language.evaluate`
    return example.predicted.copy()


def _measure(nlp: Language, name: str, examples: Sequence[Example], n_errors: int) -> ComponentResult | None:
    pipe: Any = nlp.get_pipe(name)
    factory, more = getattr(pipe, "factory", "") or nlp.get_pipe_meta(name).factory, {}
    if factory == "bert_ner":
        others = {label for _, each in nlp.pipeline if isinstance(each, BertNer) for label in each.labels}
        more = {"labels_of_other_components": others - set(pipe.labels)}
    measure = _MEASURES.get(factory)
    return measure(name, factory, pipe, examples, n_errors, **more) if measure else None
