"""Sections, curves and lengths → one page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from itertools import count
from typing import TYPE_CHECKING

from spacy_bertft.data.histogram import draw_histograms
from spacy_bertft.data.stats import CorpusStats
from spacy_bertft.evaluate.bootstrap import Resampling
from spacy_bertft.evaluate.comparison import compare_f1
from spacy_bertft.evaluate.confusion import Confusion
from spacy_bertft.evaluate.counts import Counts, measure_figures
from spacy_bertft.evaluate.page.charts import draw_confusion, draw_f1, draw_learning_curve, draw_reliability_diagram
from spacy_bertft.evaluate.page.mistakes import format_mistakes
from spacy_bertft.evaluate.page.style import format_report_style
from spacy_bertft.evaluate.page.tables import Rows, format_differences, format_figures, format_kinds, format_share
from spacy_bertft.evaluate.sections.section import Level, Section
from spacy_bertft.evaluate.training_log import TrainingLog
from spacy_bertft.pictures.image import render_element
from spacy_bertft.pictures.page import Table, format_html, format_table, label_picture
from spacy_bertft.training.calibration import measure_reliability

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A matrix of more labels cannot be read; their most frequent mistakes stand in a table.
_MOST_IN_MATRIX = 40


@dataclass(frozen=True, eq=False)
class ReportPage:
    """What stands on the page.

    Attributes:
        names: The pipeline, and the one that it is compared with, if any.
        data: The file with the documents.
        n_docs: How many there are.
        sections: What each component has to show.
        pairs: The sections of both pipelines that are compared.
        lengths: How long the texts are, in words and, with an encoder of ours, in pieces.
        log: The training run, or nothing where there is no log of it.
        resampling: Which documents were drawn.
    """

    names: tuple[str, ...]
    data: str
    n_docs: int
    sections: Sequence[Section]
    pairs: Sequence[tuple[Section, Section]]
    lengths: CorpusStats
    log: TrainingLog | None
    resampling: Resampling


def format_report(page: ReportPage) -> str:
    """Format a report as an HTML file that needs no other and no script."""
    draw = _Drawer()
    title = f"{page.names[0]} on {page.data}"
    parts = [f"<h1>{escape(title)}</h1>", _paragraph(_describe(page))]
    if page.pairs:
        parts += _format_comparison(page)
    for section in page.sections:
        parts += _format_section(section, page.resampling, draw)
    parts += ["<h2>Lengths of the texts</h2>", _paragraph(page.lengths.format_notes())]
    parts += [draw(partial(draw_histograms, page.lengths), "Histogram of text lengths")]
    parts += [format_table(Table(page.lengths.format_rows())), "<h2>Learning curve</h2>"]
    parts += _format_log(page.log, draw)
    return format_html(title, "\n".join(parts), format_report_style())


class _Drawer:
    """Draws figures, each with ids of its own."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def __call__(self, draw: Callable[[], Figure], name: str) -> str:
        return label_picture(render_element(draw, f"p{next(self._numbers)}-"), name)


def _describe(page: ReportPage) -> str:
    drawn = f"{page.resampling.n_resamples:,} times, seed {page.resampling.seed}"
    return (
        f"{page.n_docs:,} documents. Figures are in percent. The range behind each is its 95 % interval: what it would "
        f"be on other documents of the same kind, from documents drawn with replacement {drawn} (percentile bootstrap)."
    )


def _format_section(section: Section, resampling: Resampling, draw: _Drawer) -> list[str]:
    parts = [f"<h2>{escape(section.component)} <small>{section.factory}</small></h2>"]
    if not section.has_gold:
        return [*parts, _paragraph(f"No document has gold {section.kind}, so there is nothing to measure.")]
    parts.append(_paragraph(" ".join(section.notes)))
    for level in section.levels:
        parts += _format_level(level, resampling, draw, has_chart=level is section.levels[0])
    if section.confusion is not None:
        parts += _format_confusion(section.confusion, draw)
    if section.kinds_by_label:
        note = (
            "Each entity is matched with at most one other, the best matches first: boundary errors have the right "
            "label and share a token, label errors have the right ends. Missed and spurious ones have no counterpart."
        )
        parts += ["<h3>Kinds of errors</h3>", _paragraph(note), _table(format_kinds(section.kinds_by_label))]
    if len(section.probs):
        reliability = measure_reliability(section.probs, section.is_right)
        note = f"Of answers given with 80 %, 80 in 100 should be right. {len(section.probs):,} answers."
        parts += ["<h3>Reliability</h3>", _paragraph(note)]
        parts.append(draw(partial(draw_reliability_diagram, reliability), "Share of right answers by probability"))
        parts += _format_mistakes(section)
    return parts


def _format_level(level: Level, resampling: Resampling, draw: _Drawer, *, has_chart: bool) -> list[str]:
    figures = measure_figures(level.counts, resampling)
    parts = [f"<h3>{level.name.capitalize()}</h3>"]
    if level.accuracy is not None:
        name = level.accuracy_name[0].upper() + level.accuracy_name[1:]
        parts.append(_paragraph(f"{name}: {_format_accuracy(level.accuracy, resampling)}."))
    table = _table(format_figures(figures, level.name))
    if has_chart:
        return [*parts, draw(partial(draw_f1, figures), f"F1 of {level.name} with its interval"), table]
    return [*parts, _fold("Figures by label", table)]


def _format_accuracy(accuracy: Counts, resampling: Resampling) -> str:
    figures = measure_figures(accuracy, resampling)
    return f"{format_share(float(figures.shares[0, 0]), figures.intervals[0, 0])} %"


def _format_confusion(confusion: Confusion, draw: _Drawer) -> list[str]:
    parts = ["<h3>What was taken for what</h3>"]
    if len(confusion.labels) <= _MOST_IN_MATRIX:
        parts.append(draw(partial(draw_confusion, confusion), "Confusion matrix"))
    rows = confusion.format_rows()
    return [*parts, _fold("As a table", _table(rows))] if rows else parts


def _format_mistakes(section: Section) -> list[str]:
    heading = "<h3>The surest mistakes</h3>"
    if not section.mistakes:
        return [heading, _paragraph("There are none to show.")]
    note = "At most one of each document, with the probability that it was given."
    if section.kind == "entities":
        note += " Missed entities have no probability; they are seen where gold and predicted differ."
    if section.factory == "bert_textcat_multilabel":
        note += " That of a label which is not predicted is the probability that it does not hold."
    return [heading, _paragraph(note), format_mistakes(section.mistakes)]


def _format_comparison(page: ReportPage) -> list[str]:
    first, second = page.names
    note = (
        f"The difference is {first} minus {second} on the same documents, with its 95 % interval (paired bootstrap, "
        "Koehn 2004). p says how often chance alone would make two equally good pipelines differ by as much "
        "(Berg-Kirkpatrick et al. 2012); it is not corrected for the number of rows."
    )
    parts = [f"<h2>{escape(first)} and {escape(second)}</h2>", _paragraph(note)]
    for one, other in page.pairs:
        if not one.has_gold:
            continue
        for level, their_level in zip(one.levels, other.levels, strict=True):
            parts.append(f"<h3>{escape(one.component)}: {level.name}</h3>")
            if level.accuracy is not None and their_level.accuracy is not None:
                overall = compare_f1(level.accuracy, their_level.accuracy, page.resampling)[:1]
                parts.append(_table(format_differences(overall, level.accuracy_name, (first, second))))
            differences = compare_f1(level.counts, their_level.counts, page.resampling)
            table = _table(format_differences(differences, f"F1 of {level.name}", (first, second)))
            parts.append(table if level is one.levels[0] else _fold("F1 by label", table))
    return parts


def _format_log(log: TrainingLog | None, draw: _Drawer) -> list[str]:
    if log is None:
        note = (
            "There is no log of the training run. Train with --training.logger.output_file training/log.jsonl, which "
            "is found beside training/model-best, or name it with --log."
        )
        return [_paragraph(note)]
    rows: Rows = [("step", "score", *log.scores, *(f"loss of {name}" for name in log.losses))]
    columns = [log.total, *log.scores.values(), *log.losses.values()]
    for index, step in enumerate(log.steps.tolist()):
        rows.append((f"{step:,.0f}", *(f"{column[index]:,.2f}" for column in columns)))
    return [
        _paragraph(f"From {log.path.name}: {len(log.steps):,} evaluations."),
        draw(partial(draw_learning_curve, log), "Score and losses over the steps of training"),
        _fold("As a table", _table(rows)),
    ]


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _fold(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>\n{content}\n</details>"


def _table(rows: Rows) -> str:
    return format_table(Table(rows))
