"""Suggesting the texts that a pipeline would learn most from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from spacy.language import Language

from spacy_bertft.active.diversity import pick_diverse
from spacy_bertft.active.formats import FORMATS, Format, Suggestion, format_suggestion, make_suggestion
from spacy_bertft.active.survey import Candidate, SuggestReport, Survey, find_measured
from spacy_bertft.components.component import BertComponent
from spacy_bertft.components.pipelines import load_pipeline
from spacy_bertft.data.choices import parse_choice
from spacy_bertft.data.unlabelled import check_unlabelled
from spacy_bertft.errors import SettingError
from spacy_bertft.output import replace_when_done


@dataclass(frozen=True)
class Suggestions:
    """Texts to label next.

    Attributes:
        lines: Each text as a JSON object, in the order in which it is to be labelled.
        report: What was read, left out and suggested.
    """

    lines: tuple[str, ...]
    report: SuggestReport


def suggest(
    pipeline: Path | str,
    texts_path: Path | str,
    output_path: Path | str | None = None,
    *,
    n_texts: int = 100,
    file_format: Format = "prodigy",
    text_column: str = "text",
    component: str | None = None,
    diversity: float = 0.5,
    candidates: int = 10,
) -> Suggestions:
    """Suggest which texts to label next: those that the pipeline is uncertain about, and that differ from each other.

    Each text comes with the pipeline's predictions, to be corrected. In Label Studio the configuration has to name
    its tags `text`, and `label` for entities or `category` for categories. Texts are read as a stream: of each only
    a digest is kept, to know its copies, and of the most uncertain `n_texts · candidates` the text and its vector.

    Args:
        pipeline: A trained pipeline: its directory, or its name if it is installed.
        texts_path: Unlabelled texts: a .jsonl, .csv, .tsv or .txt file (one text per line), also with .gz or .zst.
        output_path: The file to write: JSON objects, one per line, or one array if the name ends in .json. On the
            command line by default standard output.
        n_texts: How many texts to suggest.
        file_format: The tool that reads them: prodigy, label-studio or doccano.
        text_column: The column of the texts.
        component: Name of the component whose uncertainty counts; by default the mean over all with labels.
        diversity: From 0, the most uncertain texts, to 1, texts as different from each other as possible.
        candidates: Choose among the most uncertain texts, this many times as many as are suggested.

    Raises:
        DataError: There is no such pipeline or file, or no text in the file.
        ColumnFormatError: A line cannot be read, or its text is longer than the pipeline takes.
        SettingError: A setting is outside what is allowed, or the pipeline has no component of ours, or the output is
            not to be written there.
        UnsupportedError: Texts are to be compared, and the encoder gives no vectors.
    """
    for name, value in {"n_texts": n_texts, "candidates": candidates}.items():
        if value < 1:
            raise SettingError(name, value, "a number from 1 on")
    if not 0 <= diversity <= 1:
        raise SettingError("diversity", diversity, "a number from 0 to 1")
    layout = parse_choice("format", file_format, FORMATS)
    source, output = Path(texts_path), None if output_path is None else Path(output_path)
    check_unlabelled(source)
    _check_output(output, source)
    nlp = load_pipeline(pipeline)
    measured = find_measured(nlp, component)
    survey = Survey(nlp, measured, has_vectors=diversity > 0)
    chosen = _choose(survey.read(source, text_column, n_texts * candidates), n_texts, diversity)
    lines = tuple(
        json.dumps(format_suggestion(each, layout), ensure_ascii=False) for each in _annotate(nlp, measured, chosen)
    )
    if output is not None:
        write_lines(lines, output)
    return Suggestions(lines, survey.report(chosen))


def _choose(candidates: Sequence[Candidate], n_texts: int, diversity: float) -> list[Candidate]:
    """Choose among candidates, which are sorted by their uncertainty."""
    vectors = [candidate.vector for candidate in candidates if candidate.vector is not None]
    if not vectors:
        return list(candidates[:n_texts])
    uncertainty = np.array([candidate.uncertainty for candidate in candidates])
    picked = pick_diverse(uncertainty, np.stack(vectors), n_texts, diversity)
    return [candidates[index] for index in picked.tolist()]


def _annotate(
    nlp: Language, measured: Mapping[str, BertComponent], chosen: Sequence[Candidate]
) -> Iterator[Suggestion]:
    """Let the whole pipeline answer for the texts that were chosen; the others need no answer."""
    name = f"{nlp.meta['lang']}_{nlp.meta['name']}-{nlp.meta['version']}"
    docs = nlp.pipe(candidate.text.text for candidate in chosen)
    for candidate, doc in zip(chosen, docs, strict=True):
        yield make_suggestion(doc, candidate.uncertainty, candidate.text.meta, name, measured.values())


def _check_output(output: Path | None, source: Path) -> None:
    if output is not None and output.is_dir():
        raise SettingError("output", str(output), "the path of a file; it is a directory")
    if output is not None and output.resolve() == source.resolve():
        raise SettingError("output", str(output), "another file than the input")


def write_lines(lines: Sequence[str], output: Path) -> None:
    """Write JSON objects, one per line, or as one array if the name ends in `.json`."""
    is_array = output.suffix.lower() == ".json"
    content = "[\n" + ",\n".join(lines) + "\n]\n" if is_array else "".join(f"{line}\n" for line in lines)
    with replace_when_done(output) as path:
        path.write_text(content, encoding="utf-8", newline="\n")
