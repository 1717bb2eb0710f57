"""A pipeline that many threads use at once answers each of them as it would answer one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from all_heads import HEADS, MIXED, load_all_heads, read_answer
from many_threads import N_THREADS, run_at_once
from spacy.language import Language
from spacy.util import minibatch

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="needs the extra openvino")
needs_nncf = pytest.mark.skipif(find_spec("nncf") is None, reason="needs the extra quantize")
SETTINGS = [
    pytest.param({"precision": "fp32"}, id="fp32"),
    pytest.param({"precision": "bf16"}, id="bf16"),
    pytest.param({"precision": "fp32", "backend": "openvino"}, id="openvino-fp32", marks=needs_openvino),
    pytest.param({"precision": "auto", "backend": "openvino"}, id="openvino-auto", marks=needs_openvino),
    pytest.param({"backend": "graph"}, id="8-bit", marks=needs_nncf),
]
MANY = MIXED * 3  # pieces enough for two passes


@pytest.fixture(params=SETTINGS)
def load(request) -> Callable[[], Language]:
    """Give what loads a pipeline with some settings of its encoders."""
    folder = request.getfixturevalue("quantized" if request.param.get("backend") == "graph" else "folder")
    return partial(load_all_heads, folder, **request.param)


def turn(texts: list[str], number: int) -> list[str]:
    """Let each thread begin with another text."""
    first = number * len(texts) // N_THREADS
    return texts[first:] + texts[:first]


def check_same(load: partial[Language], found: Any, expected: Any) -> None:
    """Check that answers are the same: to the bit, but for scores that OpenVINO has computed in bfloat16."""
    if load.keywords != {"precision": "auto", "backend": "openvino"}:
        assert found == expected
        return
    scores: list[list[float]] = [[], []]
    rest = [_take_scores(answers, taken) for answers, taken in zip((found, expected), scores, strict=True)]
    assert rest[0] == rest[1]
    np.testing.assert_allclose(*scores, atol=0.02)


def _take_scores(answers: Any, taken: list[float]) -> Any:
    """Take the scores out of answers, and return the rest."""
    if isinstance(answers, float):
        return taken.append(answers)
    if isinstance(answers, dict):
        return {key: _take_scores(each, taken) for key, each in answers.items()}
    return [_take_scores(each, taken) for each in answers] if isinstance(answers, list) else answers


def answer_one_by_one(nlp: Language, texts: list[str]) -> dict[str, dict]:
    return {text: read_answer(nlp(text)) for text in texts}


def test_texts_one_by_one(load):
    expected = answer_one_by_one(load(), MIXED)
    nlp = load()  # so that what is made when it is first needed, is needed by all at once
    for answers in run_at_once(lambda number: answer_one_by_one(nlp, turn(MIXED, number))):
        check_same(load, {text: answers[text] for text in MIXED}, expected)


def test_streams(load):
    """Each thread has a stream of its own, with batches of its own size."""

    def answer(nlp: Language, number: int) -> list[dict]:
        docs = nlp.pipe(turn(MIXED, number), batch_size=3 + 4 * number)
        return [read_answer(doc) for doc in docs]

    expected = [answer(load(), number) for number in range(N_THREADS)]
    nlp = load()
    check_same(load, run_at_once(lambda number: answer(nlp, number)), expected)


def test_passes_run_side_by_side_for_all_threads(folder, two_threads):
    """Where torch has two threads, those that run the passes are started by the first stream that comes."""
    expected = [read_answer(doc) for doc in load_all_heads(folder).pipe(MANY)]
    nlp = load_all_heads(folder)
    for answers in run_at_once(lambda _: [read_answer(doc) for doc in nlp.pipe(MANY)]):
        assert answers == expected


def test_one_stream_whose_batches_are_taken_by_many_threads(folder):
    """As a server does that lets a pool of threads take the next item of a generator."""
    nlp = load_all_heads(folder)
    expected = [read_answer(doc) for doc in nlp.pipe(MIXED, batch_size=4)]
    docs = nlp.pipe(MIXED, batch_size=4)
    answers = []
    while len(answers) < len(MIXED):
        answers += run_at_once(lambda _: read_answer(next(docs)), n_threads=1)
    assert answers == expected


@pytest.mark.parametrize("head", HEADS)
def test_some_pipes_are_switched_off(folder, head):
    nlp = load_all_heads(folder)
    with nlp.select_pipes(enable=["bert_encoder", head]):
        expected = answer_one_by_one(nlp, MIXED)
        for answers in run_at_once(lambda number: answer_one_by_one(nlp, turn(MIXED, number))):
            assert answers == expected
    assert any(expected[text] != answer for text, answer in answer_one_by_one(nlp, MIXED).items())


def test_threads_within_a_memory_zone(folder):
    """A zone ends what all threads have made within it, so it has to outlast them; spaCy allows no second one."""
    nlp = load_all_heads(folder)
    expected = answer_one_by_one(load_all_heads(folder), MIXED)
    n_strings = len(nlp.vocab.strings)
    for _ in range(3):
        with nlp.memory_zone():
            for answers in run_at_once(lambda number: answer_one_by_one(nlp, turn(MIXED, number))):
                assert answers == expected
        assert len(nlp.vocab.strings) == n_strings


def test_a_shared_encoder_runs_once_per_batch_of_each_thread(folder):
    nlp = load_all_heads(folder)
    encoder = nlp.get_pipe("bert_encoder").states.encoder
    forward, calls = encoder._func, []
    encoder._func = lambda model, docs, is_train: calls.append(len(docs)) or forward(model, docs, is_train)
    batches = list(minibatch(MIXED, 4))
    run_at_once(lambda number: [list(nlp.pipe(turn(MIXED, number), batch_size=4)) for _ in range(3)])
    assert len(calls) == 3 * N_THREADS * len(batches)


def test_pipelines_are_loaded_at_once(folder):
    expected = answer_one_by_one(load_all_heads(folder), MIXED[:8])
    for answers in run_at_once(lambda _: answer_one_by_one(load_all_heads(folder), MIXED[:8])):
        assert answers == expected
