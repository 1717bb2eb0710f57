"""Questions in the JSON format of SQuAD → Docs with `doc.spans["answers"]` → `.spacy` files, with a report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from spacy_bertft.data.answers import ANSWERS, write_answers
from spacy_bertft.data.conversion import Conversion, make_function, write_corpus
from spacy_bertft.data.docs import make_blank
from spacy_bertft.data.packed import WHERE, pack_docs
from spacy_bertft.data.pairs import SEPARATOR, make_pair
from spacy_bertft.data.reports import ConversionReport
from spacy_bertft.data.rows import Tally, read_text
from spacy_bertft.errors import DataError, read_reason

_EXPECTED = "Expected the JSON format of SQuAD: data, paragraphs with a context, qas with a question and its answers."
_MISPLACED = "answers that are not in the context where answer_start says"
_NO_ANSWER_LEFT = "questions of which no answer is left"
_EXPANDED = "answers extended to whole tokens, whose texts are kept for scores"
_NO_PAIR = "questions that are empty or hold U+001F, or whose context is or does"

CharRanges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Question:
    """A question, its context and what is known of its answers.

    Attributes:
        where: File, article, paragraph and question, for errors.
        article: What the questions have in common that stay together when a corpus is split.
        question: The question.
        context: The context.
        answers: The characters of the answers in the context; none if there is no answer. None if it is not known.
    """

    where: str
    article: str
    question: str
    context: str
    answers: CharRanges | None


@dataclass(kw_only=True)
class QuestionConversion(Conversion):
    """Convert questions in the JSON format of SQuAD 1.1 or 2.0 to spaCy's binary format.

    A question and its context are one pair of texts; `doc.spans["answers"]` holds its answers, and is empty where there
    is none. A question without the field `answers` has no such group.

    Raises:
        DataError: An input does not exist or is no such file, contradicts itself, or has too few articles to split.
        SettingError: A setting is out of range, or the outputs are not to be written there.
    """

    def run(self) -> ConversionReport:
        """Convert the files."""
        nlp, tally = make_blank(self.lang), Tally()
        reports = write_corpus(
            self,
            [question for path in self.sources for question in read_questions(path, tally, self.encoding)],
            partial(pack_docs, partial(map, partial(make_question_doc, nlp, tally)), _list_kinds),
            get_key=lambda question: question.article,
            nothing=f"no question. {_EXPECTED.rstrip('.')}",
        )
        return ConversionReport(kind="qa", **tally.list_counts(), **reports)


convert_questions = make_function(QuestionConversion)


def read_questions(path: Path, tally: Tally, encoding: str | None = None) -> Iterator[Question]:
    """Read the questions of a file.

    Args:
        path: The file.
        tally: Counts what is read and left out.
        encoding: How it is encoded, if not in UTF-8.

    Raises:
        DataError: There is no such file, it is no JSON of this format, or contradicts itself.
    """
    text = read_text(path, encoding, _EXPECTED)
    try:
        content = json.loads(text)
        if "\\u" in text:
            json.dumps(content, ensure_ascii=False).encode()  # raises where JSON spells half a character
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {read_reason(error)}. {_EXPECTED}") from error
    for article_place, article in _list(content, "data", f"{path}, "):
        for paragraph_place, paragraph in _list(article, "paragraphs", f"{article_place}."):
            context = _get(paragraph, "context", str, paragraph_place)
            for where, entry in _list(paragraph, "qas", f"{paragraph_place}."):
                question = _get(entry, "question", str, where)
                tally.n_lines += 1
                if any(SEPARATOR in each or not each.strip() for each in (question, context)):
                    tally.leave_out(_NO_PAIR, where)
                elif (answers := _read_answers(entry, context, where, tally)) == () and entry.get("answers"):
                    tally.leave_out(_NO_ANSWER_LEFT, where)
                else:
                    yield Question(where, article_place, question, context, answers)


def _read_answers(entry: Mapping[str, Any], context: str, where: str, tally: Tally) -> CharRanges | None:
    is_impossible = entry.get("is_impossible")
    if entry.get("answers") is None and not is_impossible:
        return None
    answers = _get(entry, "answers", list, where) if entry.get("answers") is not None else []
    if is_impossible is not None and bool(is_impossible) == bool(answers):
        problem = f"is_impossible is {str(is_impossible).lower()}, but the question has {len(answers)} answers"
        raise DataError(f"{where}: {problem}. Expected answers, or is_impossible: true.")
    ranges = []
    for at_answer, answer in _list({"answers": answers}, "answers", f"{where}."):
        text, start = _get(answer, "text", str, at_answer), _get(answer, "answer_start", int, at_answer)
        if text.strip() and start >= 0 and context[start : start + len(text)] == text:
            ranges.append((start, start + len(text)))
        else:
            tally.leave_out(_MISPLACED, at_answer)
    return tuple(ranges)


def _list(values: Any, name: str, where: str) -> Iterator[tuple[str, Any]]:
    """List the elements of a field with their places."""
    for number, element in enumerate(_get(values, name, list, where.rstrip("., "))):
        yield f"{where}{name}[{number}]", element


def _get(values: Any, name: str, kind: type, where: str) -> Any:
    value = values.get(name) if isinstance(values, Mapping) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise DataError(f"{where}: '{name}' is missing or of another type. {_EXPECTED}")
    return value


def make_question_doc(nlp: Language, tally: Tally, question: Question) -> Doc:
    """Make the Doc of a question.

    Raises:
        DataError: The texts are longer than spaCy takes, or its tokenizer would change them.
    """
    try:
        doc = make_pair(nlp, question.question, question.context)
    except DataError as error:
        raise DataError(f"{question.where}: {error}") from error
    shift = len(question.question) + 1
    doc.user_data[WHERE] = (question.where, 0)
    if question.answers is not None:
        n_expanded = write_answers(doc, [(start + shift, end + shift) for start, end in question.answers])
        tally.note(_EXPANDED, question.where, n_expanded)
    return doc


def _list_kinds(doc: Doc) -> Sequence[str]:
    if ANSWERS not in doc.spans:
        return ["answers not known"]
    return ["with an answer" if len(doc.spans[ANSWERS]) else "without an answer"]
