"""How good the answers or the choices of a component are."""

from __future__ import annotations

from collections.abc import Sequence

from spacy.tokens import Doc
from spacy.training import Example

from spacy_bertft.components.multiple_choice import BertMultipleChoice
from spacy_bertft.components.predictions import Prediction, stack_judged
from spacy_bertft.components.question_answering import BertQa
from spacy_bertft.evaluation.categories import list_errors
from spacy_bertft.evaluation.counts import Pair, count_pairs, count_shares
from spacy_bertft.evaluation.results import ComponentResult, Kind, Level, PredictionError, choose_errors, cut_excerpt
from spacy_bertft.pictures.page import Mark

_KINDS = ("an answer", "no answer")


def measure_answers(
    name: str, pipe: BertQa | BertMultipleChoice, examples: Sequence[Example], n_errors: int = 0
) -> ComponentResult:
    """Measure what a component has answered or chosen: right is an exact match, as the script of SQuAD counts.

    Args:
        name: Its name.
        pipe: The component.
        examples: Annotated by the pipeline.
        n_errors: How many of the most confident errors to show.
    """
    is_answer = isinstance(pipe, BertQa)
    kind: Kind = "answers" if is_answer else "choices"
    docs = [[each for each in pipe.list_predictions(example) if each.is_correct is not None] for example in examples]
    n_unknown = sum(not doc for doc in docs)
    pairs = [[pair for each in doc for pair in _pair(each)] if doc else None for doc in docs]
    is_correct = [[bool(each.is_correct) for each in doc] if doc else None for doc in docs]
    positions = sorted({label for doc in pairs for pair in doc or () for label in pair if label})
    accuracy = "Questions with exactly the right answer" if is_answer else "Prompts with the right ending"
    notes = [f"documents without a gold {kind.removesuffix('s')} to compare with: {n_unknown:,}"] * bool(n_unknown)
    return ComponentResult(
        component=name,
        factory="bert_qa" if is_answer else "bert_multiple_choice",
        kind=kind,
        levels=(
            Level(kind, count_pairs(_KINDS if is_answer else positions, pairs), count_shares(is_correct), accuracy),
        ),
        judged=stack_judged(each for doc in docs for each in doc),
        errors=choose_errors(map(_list_errors if is_answer else list_errors, examples, docs), n_errors),
        notes=tuple(notes),
    )


def _pair(prediction: Prediction) -> list[Pair]:
    if prediction.kind == "category":
        return [(prediction.gold, prediction.label)]
    gold, predicted = (_KINDS[0] if text else _KINDS[1] for text in (prediction.gold, prediction.label))
    return [(gold, predicted)] if prediction.is_correct else [(gold, None), (None, predicted)]


def _list_errors(example: Example, predictions: Sequence[Prediction]) -> list[PredictionError]:
    return [_show_error(each, example.predicted) for each in predictions if not each.is_correct]


def _show_error(prediction: Prediction, doc: Doc) -> PredictionError:
    span = prediction.find_span(doc)
    start, end = (span.start_char, span.end_char) if span else (0, 0)
    marks = (Mark(start, end, "predicted", ""),) if span else ()
    caption = f"predicted {f'“{span.text}”' if span else 'no answer'}, gold {prediction.gold or 'no answer'}"
    return PredictionError(prediction.confidence or 0.0, caption, (cut_excerpt("text", doc.text, marks, start, end),))
