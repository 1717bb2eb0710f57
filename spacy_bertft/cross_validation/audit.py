"""Label errors: gold annotation that is improbable to pipelines that did not see it (confident learning)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import srsly
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import load_config
from spacy.vocab import Vocab

from spacy_bertft.active.formats import FORMATS, Format, Suggestion, format_suggestion
from spacy_bertft.active.suggest import write_lines
from spacy_bertft.components.predictions import read_gold_entities
from spacy_bertft.cross_validation.crossval import PREDICTED
from spacy_bertft.cross_validation.problems import (
    KINDS,
    Problem,
    find_category_problems,
    find_entity_problems,
    find_tag_problems,
)
from spacy_bertft.data.choices import parse_choice
from spacy_bertft.data.docs import read_docs
from spacy_bertft.data.texts.tools import UNKNOWN
from spacy_bertft.distillation.teachers import TagTargets, hash_words
from spacy_bertft.errors import DataError, check_setting, format_count
from spacy_bertft.evaluation.categories import IS_EXCLUSIVE_BY_FACTORY
from spacy_bertft.evaluation.results import Excerpt, cut_excerpt
from spacy_bertft.evaluation.tables import Rows
from spacy_bertft.output import replace_when_done
from spacy_bertft.pictures.page import Mark, render_template
from spacy_bertft.tags.schemes import TagSpan
from spacy_bertft.training.folds import GOLD

_EXPECTED = "Expected a directory that `spacy-bertft crossval` has written."
_PIPELINE = "fold-1/model-last"  # one of the pipelines, which says what its components are
_N_WORDS = 100  # of a text of which a category is shown
_FACTORIES = ("bert_ner", "bert_tagger", *IS_EXCLUSIVE_BY_FACTORY)


@dataclass(frozen=True)
class AuditReport:
    """Where the annotation of a corpus is improbable.

    Attributes:
        problems: All problems, the most improbable annotation first.
        limit: How many of them are reported.
        n_docs: Documents.
        n_misaligned: Annotated entities that do not fit the tokens of the pipelines, of which nothing is said.
    """

    problems: tuple[Problem, ...]
    limit: int
    n_docs: int
    n_misaligned: int = 0

    @property
    def reported(self) -> tuple[Problem, ...]:
        """The problems that are reported."""
        return self.problems[: self.limit]

    def format_rows(self) -> Rows:
        """Count what is reported by label and kind."""
        counts = Counter((each.label, each.kind) for each in self.reported)
        kinds = [kind for kind in KINDS if any(kind == other for _, other in counts)]
        labels = sorted({label for label, _ in counts})
        rows = [(label, *(f"{counts[label, kind]:,}" for kind in kinds)) for label in labels]
        totals = Counter(each.kind for each in self.reported)
        return [("", *kinds), ("all", *(f"{totals[kind]:,}" for kind in kinds)), *rows]

    def format_notes(self) -> str:
        """Say how many problems there are."""
        n_confident = sum(each.is_confident for each in self.problems)
        misaligned = f"; entities that do not fit the tokens: {self.n_misaligned:,}" * bool(self.n_misaligned)
        return (
            f"{format_count(self.n_docs, 'document')}; annotation and prediction differ in "
            f"{format_count(len(self.problems), 'place')}, of which by confident learning {n_confident:,} are probable "
            f"label errors; {len(self.reported):,} reported, the most improbable annotation first{misaligned}."
        )


def audit(
    crossval: Path | str,
    output_path: Path | str | None = None,
    *,
    jsonl_path: Path | str | None = None,
    file_format: Format = "prodigy",
    component: str | None = None,
    limit: int | None = None,
) -> AuditReport:
    """Find probable label errors in what crossval has written: by what pipelines predict that did not see a document.

    Entities that are missing, spurious, or have improbable boundaries or labels; improbable tags and categories.

    Args:
        crossval: The directory that crossval has written.
        output_path: Write a page with the problems: an .html file.
        jsonl_path: Write the documents, those with the worst problems first, as JSON for an annotation tool; `meta`
            says what their problems are. A .jsonl file, or .json for one array.
        file_format: The tool that reads them: prodigy, label-studio or doccano.
        component: Name of the component whose predictions count; by default all.
        limit: Report so many problems; by default as many as confident learning says are probable errors.

    Raises:
        DataError: The directory does not hold what crossval writes, or its files are not of the same documents.
        SettingError: A setting is outside what is allowed, or there is no such component.
    """
    folder, layout = Path(crossval), parse_choice("format", file_format, FORMATS)
    for name, path, endings in (("output", output_path, (".html",)), ("jsonl", jsonl_path, (".jsonl", ".json"))):
        if path is not None:
            check_setting(name, str(path), Path(path).suffix in endings, f"a name that ends in {' or '.join(endings)}")
    check_setting("limit", limit, limit is None or limit >= 0, "0 or more")
    examples = _read_examples(folder)
    components = _read_components(folder, component)
    found = [each for name, facts in components.items() for each in _find_problems(folder, name, facts, examples)]
    found.sort(key=lambda each: (-each.score, each.doc, each.gold, each.predicted))
    factories = {facts["factory"] for facts in components.values()}
    n_confident = sum(each.is_confident for each in found)
    n_misaligned = sum(len(read_gold_entities(each).misaligned) for each in examples if "bert_ner" in factories)
    report = AuditReport(tuple(found), n_confident if limit is None else limit, len(examples), n_misaligned)
    if output_path is not None:
        with replace_when_done(Path(output_path)) as path:
            path.write_text(_render(report, examples, folder.name), encoding="utf-8", newline="\n")
    if jsonl_path is not None:
        lines = [json.dumps(each, ensure_ascii=False) for each in _list_tasks(report, examples, factories, layout)]
        write_lines(lines, Path(jsonl_path))
    return report


def _read_examples(folder: Path) -> list[Example]:
    """Read the documents, predicted and annotated.

    Raises:
        DataError: They are not there, or not the same.
    """
    vocab = Vocab()
    predicted, gold = (list(read_docs(folder / name, vocab)) for name in (PREDICTED, GOLD))
    if not gold or [doc.text for doc in predicted] != [doc.text for doc in gold]:
        raise DataError(f"{folder}: gold.spacy and predicted.spacy hold other documents, or no documents. {_EXPECTED}")
    return list(map(Example, predicted, gold))


def _read_components(folder: Path, component: str | None) -> dict[str, dict[str, Any]]:
    """Read the sections of the components that can be audited, with their labels.

    Raises:
        DataError: There is no pipeline.
        SettingError: There is no such component.
    """
    path = folder / _PIPELINE
    if not (path / "config.cfg").is_file() or not (path / "meta.json").is_file():
        raise DataError(f"{path} is no pipeline. {_EXPECTED}")
    config, labels = load_config(path / "config.cfg"), srsly.read_json(path / "meta.json")["labels"]
    sections = {name: config["components"][name] for name in config["nlp"]["pipeline"]}
    ours = {
        name: {**section, "labels": labels[name]}
        for name, section in sections.items()
        if section["factory"] in _FACTORIES
    }
    chosen = {name: facts for name, facts in ours.items() if component in (None, name)}
    check_setting("component", component, bool(chosen), f"one of {', '.join(ours) or ', '.join(_FACTORIES)}")
    return chosen


def _find_problems(folder: Path, name: str, facts: Mapping[str, Any], examples: Sequence[Example]) -> Iterator[Problem]:
    factory: str = facts["factory"]
    if factory in IS_EXCLUSIVE_BY_FACTORY:
        threshold = None if IS_EXCLUSIVE_BY_FACTORY[factory] else facts["threshold"]
        return find_category_problems(name, examples, facts["labels"], threshold)
    path = folder / f"{name}.npz"
    if not path.is_file():
        raise DataError(f"{path} is missing. {_EXPECTED}")
    targets = TagTargets.read(path)
    if targets.words != hash_words(example.predicted for example in examples):
        raise DataError(f"{path}: the probabilities are not those of the tokens of predicted.spacy. {_EXPECTED}")
    find = find_entity_problems if factory == "bert_ner" else find_tag_problems
    return find(name, examples, targets)


def _render(report: AuditReport, examples: Sequence[Example], name: str) -> str:
    problems = [
        (each, *(_draw(examples[each.doc].predicted, each, side) for side in ("gold", "predicted")))
        for each in report.reported
    ]
    title = f"Label errors in {name}"
    return render_template(
        "cross_validation/audit.html.jinja", title=title, is_wide=True, report=report, problems=problems
    )


def _draw(doc: Doc, problem: Problem, side: str) -> Excerpt:
    """Draw what is annotated or predicted, in its context."""
    labelled: Sequence[TagSpan] = getattr(problem, side)
    ranges = [_get_chars(doc, span) for span in (*problem.gold, *problem.predicted)]
    starts, ends = zip(*ranges, strict=True)
    marks = tuple(Mark(*_get_chars(doc, span), span.label) for span in labelled if span.token_end)
    caption = f"{side}: {', '.join(span.label for span in labelled) or 'none'}"
    return cut_excerpt(caption, doc.text, marks, min(starts), max(ends))


def _get_chars(doc: Doc, span: TagSpan) -> tuple[int, int]:
    """Return the characters of a span; of a category those of the first words."""
    shown = doc[span.token_start : span.token_end or _N_WORDS]
    return shown.start_char, shown.end_char


def _list_tasks(
    report: AuditReport, examples: Sequence[Example], factories: Set[str], layout: Format
) -> Iterator[dict[str, Any]]:
    """List the documents with their annotation, to be corrected, and under `meta` what may be wrong with it."""
    by_doc: dict[int, list[Problem]] = {}
    for problem in report.reported:
        by_doc.setdefault(problem.doc, []).append(problem)
    for number, problems in by_doc.items():
        doc, predicted = examples[number].reference, examples[number].predicted
        meta = {"document": number + 1, "problems": [_format_problem(predicted, each) for each in problems]}
        spans: tuple[Span, ...] | None = None
        if "bert_ner" in factories:
            spans = tuple(doc.ents)
        elif "bert_tagger" in factories:
            spans = tuple(Span(doc, token.i, token.i + 1, token.tag) for token in doc if token.tag)
        cats = doc.cats if factories & IS_EXCLUSIVE_BY_FACTORY.keys() else None
        held = tuple(label for label, value in doc.cats.items() if value > 0)
        task = format_suggestion(Suggestion(doc, problems[0].score, meta, "gold", spans, cats, held), layout)
        unknown = [(token.idx, token.idx + len(token)) for token in doc if not token.ent_iob]
        if layout == "prodigy" and "bert_ner" in factories and unknown:
            task[UNKNOWN] = unknown  # so that `convert` does not take it for what is no entity
        yield task


def _format_problem(doc: Doc, problem: Problem) -> dict[str, Any]:
    sides = {"gold": problem.gold, "predicted": problem.predicted}
    formatted = {side: [_format_span(doc, span) for span in spans] for side, spans in sides.items()}
    return {"component": problem.component, "kind": problem.kind, "score": problem.score, **formatted}


def _format_span(doc: Doc, span: TagSpan) -> dict[str, Any]:
    start, end = _get_chars(doc, span)
    return {"label": span.label} | ({"start": start, "end": end} if span.token_end else {})
