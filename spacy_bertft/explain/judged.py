"""Right and wrong answers of a pipeline on annotated documents, the most confident first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from tqdm import tqdm

from spacy_bertft.components.calibration import CalibratedComponent
from spacy_bertft.components.ner import BertNer
from spacy_bertft.components.predictions import judge_group, list_gold_labels, read_gold_entities
from spacy_bertft.components.text_component import TextComponent
from spacy_bertft.data.docs import read_docs
from spacy_bertft.errors import DataError
from spacy_bertft.tags.schemes import TagSpan

NOTHING = "none"


@dataclass(frozen=True)
class JudgedAnswer:
    """An answer, and whether it is right.

    Attributes:
        doc: The document.
        target: What is to be explained: the label of a category, or an entity.
        predicted: What the pipeline says.
        gold: What the annotation says.
        confidence: How sure the pipeline is, from 0 to 1.
        is_right: Whether the two agree.
    """

    doc: Doc
    target: str | Span
    predicted: str
    gold: str
    confidence: float
    is_right: bool


def judge_answers(
    nlp: Language, data_path: Path, name: str, pipe: CalibratedComponent, label: str | None = None
) -> list[JudgedAnswer]:
    """Let a pipeline answer for annotated documents, and look which answers are right.

    Of exclusive categories the answer is the best one; of others, each that is predicted, and each that should be. Of
    entities it is each that is found; those that are missed are no answers. What the annotation leaves open is left
    out.

    Args:
        nlp: The pipeline.
        data_path: A `.spacy` file with gold annotation.
        name: Name of the component that answers.
        pipe: The component.
        label: Only answers that give this label, or should.

    Raises:
        DataError: There is no such file, or its documents have no gold annotation of this kind; or no answer is about
            the label.
    """
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in read_docs(data_path, nlp.vocab)]
    if not any(_has_gold(pipe, example) for example in examples):
        kind = "entities" if isinstance(pipe, BertNer) else f"categories among {', '.join(pipe.labels)}"
        raise DataError(f"{data_path}: no document has gold {kind}. Expected annotation for {name} to be judged by.")
    docs = nlp.pipe([example.predicted for example in examples])
    answers = []
    for example, doc in zip(
        examples, tqdm(docs, "Predicting", len(examples), unit=" texts", disable=None), strict=True
    ):
        example.predicted = doc
        answers += [each for each in _judge(name, pipe, example) if label in (None, *_list_labels(each))]
    if not answers:
        about = "" if label is None else f" about {label}"
        raise DataError(f"{data_path}: {name} gives no answer{about} that the gold annotation could judge.")
    if label is not None and not isinstance(pipe, BertNer):
        answers = [replace(each, target=label) for each in answers]
    return answers


def choose_answers(answers: Iterable[JudgedAnswer], limit: int) -> tuple[list[JudgedAnswer], list[JudgedAnswer]]:
    """Choose wrong answers and right ones, half of each where there are enough, the most confident first."""
    ordered = sorted(answers, key=lambda answer: -answer.confidence)
    wrong, right = ([each for each in ordered if each.is_right == is_right] for is_right in (False, True))
    n_wrong = max(limit - len(right), (limit + 1) // 2)
    wrong = wrong[:n_wrong]
    return wrong, right[: limit - len(wrong)]


def _has_gold(pipe: CalibratedComponent, example: Example) -> bool:
    if isinstance(pipe, TextComponent):
        return any(label in example.reference.cats for label in pipe.labels)
    return bool(read_gold_entities(example).is_known.any())


def _list_labels(answer: JudgedAnswer) -> tuple[str, ...]:
    return (answer.target.label_,) if isinstance(answer.target, Span) else (answer.target, answer.gold)


def _judge(name: str, pipe: CalibratedComponent, example: Example) -> Iterator[JudgedAnswer]:
    if isinstance(pipe, BertNer):
        return _judge_entities(name, example)
    return (_judge_best if pipe.exclusive else _judge_each)(pipe, example)


def _judge_best(pipe: TextComponent, example: Example) -> Iterator[JudgedAnswer]:
    gold, doc = example.reference.cats, example.predicted
    if any(label in gold for label in pipe.labels):
        best = max(pipe.labels, key=doc.cats.__getitem__)
        right = list_gold_labels(gold, pipe.labels, exclusive=True)
        yield JudgedAnswer(doc, best, best, "".join(right) or NOTHING, doc.cats[best], best in right)


def _judge_each(pipe: TextComponent, example: Example) -> Iterator[JudgedAnswer]:
    gold, doc = example.reference.cats, example.predicted
    held = list_gold_labels(gold, pipe.labels, exclusive=False)
    for label in pipe.labels:
        holds, is_predicted = label in held, doc.cats[label] >= pipe.cfg["threshold"]
        if label in gold and (holds or is_predicted):
            confidence = doc.cats[label] if is_predicted else 1 - doc.cats[label]
            predicted, right = (label if is_there else f"not {label}" for is_there in (is_predicted, holds))
            yield JudgedAnswer(doc, label, predicted, right, confidence, holds == is_predicted)


def _judge_entities(name: str, example: Example) -> Iterator[JudgedAnswer]:
    doc, gold = example.predicted, read_gold_entities(example)
    for span, prob, is_right in judge_group(doc.spans[name], gold):
        touching = [each for each in gold.spans if each.token_start < span.end and span.start < each.token_end]
        names = [_name(doc, each) for each in touching]
        predicted = _name(doc, TagSpan(span.start, span.end, span.label_))
        yield JudgedAnswer(doc, span, predicted, ", ".join(names) or NOTHING, prob, is_right)


def _name(doc: Doc, span: TagSpan) -> str:
    return f"{span.label} “{doc[span.token_start : span.token_end].text}”"
