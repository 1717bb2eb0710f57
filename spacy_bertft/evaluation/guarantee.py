"""A promised recall: thresholds by conformal risk control, stored in a trained pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spacy_bertft.components.guarantee import GuaranteedComponent, collect_gold_probs
from spacy_bertft.components.guarantee import guarantee as fit
from spacy_bertft.components.pipelines import (
    check_data,
    choose_target,
    find_pipeline_dir,
    read_examples,
    read_inputs,
    write_stored,
)
from spacy_bertft.errors import SettingError, check_setting
from spacy_bertft.evaluation.tables import Rows, format_percent
from spacy_bertft.training.risk_control import GoldProbs


@dataclass(frozen=True)
class RecallFigures:
    """What the candidates of a component have of the gold annotation of some documents.

    Attributes:
        component: Its name.
        data: The documents.
        n_docs: How many there are.
        n_annotated: Those that have any gold annotation.
        n_gold: Gold entities or categories.
        threshold: From which probability on something is a candidate.
        recall: Mean over the documents that have any gold annotation, from 0 to 1; not a number without any.
        pooled_recall: Of all gold entities or categories together.
        n_candidates: Candidates in all documents.
    """

    component: str
    data: Path
    n_docs: int
    n_annotated: int
    n_gold: int
    threshold: float
    recall: float
    pooled_recall: float
    n_candidates: int


@dataclass(frozen=True)
class GuaranteeReport:
    """What is promised.

    Attributes:
        path: The pipeline.
        recall: The share of the gold annotation of a document that is among the candidates, on average.
        places: By component, where candidates are written.
        figures: Of every component, on the documents that it was fitted on and on those given to test it.
    """

    path: Path
    recall: float
    places: dict[str, str]
    figures: tuple[RecallFigures, ...]

    def format_rows(self) -> Rows:
        """Lay out the figures, recall in percent."""
        head = (
            "",
            "documents",
            "with gold",
            "gold",
            "threshold",
            "mean recall",
            "pooled",
            "candidates per document",
            "per gold",
        )
        return [head, *map(_format_row, self.figures)]

    def __str__(self) -> str:
        places = ", ".join(self.places.values())
        return (
            f"{self.path}: of a document like these that has any gold annotation, {100 * self.recall:g} % of it or "
            f"more is among the candidates, on average; they are in {places}. What is predicted is the same."
        )


def guarantee(
    pipeline: Path | str,
    dev_path: Path | str,
    output_dir: Path | str | None = None,
    *,
    recall: float = 0.95,
    component: str | None = None,
    test_path: Path | str | None = None,
) -> GuaranteeReport:
    """Promise a recall: write all candidates that it takes to have 95 % of the entities or categories of a document.

    Conformal risk control on held-out data (Angelopoulos et al. 2022): fits a threshold for each component, and stores
    it in the pipeline. All spans or categories with at least that probability are candidates.

    Args:
        pipeline: A trained pipeline: its directory, or its name if it is installed.
        dev_path: A .spacy file with gold annotation, used neither for training nor to choose or calibrate the pipeline.
        output_dir: Write the pipeline to this directory; by default it is changed in place.
        recall: The share of the gold annotation of a document that its candidates have, on average; above 0, below 1.
        component: Promise it for this component; by default for every one that can: bert_ner, bert_textcat and
            bert_textcat_multilabel.
        test_path: Measure on this .spacy file too.

    Raises:
        DataError: There is no such pipeline or file; or `output_dir` is something else than a pipeline; or no threshold
            keeps the promise, as there are too few documents, or too many entities do not fit the tokens.
        SettingError: A setting is outside what is allowed, or an installed pipeline is not to be changed.
    """
    check_setting("recall", recall, 0 < recall < 1, "a share above 0 and below 1")
    if test_path is not None:
        check_data(test_path)
    target = choose_target(pipeline, output_dir)
    nlp, examples = read_inputs(pipeline, dev_path)
    pipes = {name: pipe for name, pipe in nlp.pipeline if isinstance(pipe, GuaranteedComponent)}
    if not pipes or component not in (None, *pipes):
        kinds = "bert_ner, bert_textcat or bert_textcat_multilabel, but the pipeline has none"
        raise SettingError("component", component, f"one of {', '.join(pipes) or kinds}")
    pipes = {name: pipe for name, pipe in pipes.items() if component in (None, name)}
    by_path = {Path(dev_path): collect_gold_probs(nlp, examples, pipes)}
    for name, gold in by_path[Path(dev_path)].items():
        fit(pipes[name], gold, recall)
    if test_path is not None:
        by_path[Path(test_path)] = collect_gold_probs(nlp, read_examples(test_path, nlp), pipes)
    figures = tuple(
        _measure(pipes[name], path, gold) for path, by_name in by_path.items() for name, gold in by_name.items()
    )
    write_stored(find_pipeline_dir(nlp), target, {name: pipe.list_stored() for name, pipe in pipes.items()})
    places = {name: pipe.candidates_in.format(name) for name, pipe in pipes.items()}
    return GuaranteeReport(target, recall, places, figures)


def _measure(pipe: GuaranteedComponent, path: Path, gold: GoldProbs) -> RecallFigures:
    threshold, n_gold = pipe.candidate_threshold or 1.0, len(gold.probs)
    return RecallFigures(
        component=pipe.name,
        data=path,
        n_docs=gold.n_docs,
        n_annotated=len({*gold.doc.tolist()}),
        n_gold=n_gold,
        threshold=threshold,
        recall=gold.compute_recall(threshold),
        pooled_recall=float((gold.probs >= threshold).sum()) / max(1, n_gold),
        n_candidates=gold.count_candidates(threshold),
    )


def _format_row(one: RecallFigures) -> tuple[str, ...]:
    counts = (f"{count:,}" for count in (one.n_docs, one.n_annotated, one.n_gold))
    shares = (format_percent(share) for share in (one.recall, one.pooled_recall))
    means = (f"{one.n_candidates / max(1, count):.2f}" for count in (one.n_docs, one.n_gold))
    return (f"{one.component}, {one.data.stem}", *counts, f"{one.threshold:.3g}", *shares, *means)
