"""The application, asked in this process: answers, refusals, batches, metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from threading import Event
from typing import Any

import httpx
import pytest
import spacy
from all_heads import MIXED
from small_checkpoints import TEXTS

from spacy_bertft.annotation.values import format_json, list_answers, list_entity_groups, read_answers
from spacy_bertft.components.ner import BertNer
from spacy_bertft.errors import DataError
from spacy_bertft.serving.settings import ServeSettings

serving = pytest.importorskip("spacy_bertft.serving.app", reason="needs the extra serve")


@asynccontextmanager
async def open_client(pipelines, **settings) -> AsyncIterator[httpx.AsyncClient]:
    """Serve pipelines, by name, to a client in this process."""
    app = serving.build_app(ServeSettings({name: str(path) for name, path in pipelines.items()}, **settings))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://server", timeout=None) as client,
    ):
        while (await client.get("/health")).status_code == 503:
            await asyncio.sleep(0.01)
        yield client


def ask(pipelines, question: Callable[[httpx.AsyncClient], Any], **settings) -> Any:
    """Serve pipelines, and return what a coroutine finds out from the server."""

    async def run() -> Any:
        async with open_client(pipelines, **settings) as client:
            return await question(client)

    return asyncio.run(run())


def predict_alone(path, text) -> dict[str, Any]:
    """Predict without a server and without other texts, in the same form."""
    nlp = spacy.load(path)
    answers = {answer: answer for answer in list_answers(nlp)}
    return json.loads(format_json(read_answers(nlp(text), answers, list_entity_groups(nlp))))


def drop_scores(value: Any, scores: list[float]) -> Any:
    """Return a prediction without its scores, which are appended to a list: batches change their last digits."""
    if isinstance(value, list):
        return [drop_scores(each, scores) for each in value]
    if isinstance(value, dict):
        return {key: drop_scores(each, scores) for key, each in value.items()}
    if isinstance(value, float):
        scores.append(value)
    return None if isinstance(value, float) else value


def check_same(found: Any, expected: Any) -> None:
    found_scores: list[float] = []
    expected_scores: list[float] = []
    assert drop_scores(found, found_scores) == drop_scores(expected, expected_scores)
    assert found_scores == pytest.approx(expected_scores, abs=2e-6)


@pytest.mark.parametrize("max_chars", [1, 100, 10_000])
def test_every_answer_is_that_of_the_pipeline_alone(served, max_chars):
    async def ask_all(client):
        requests = (client.post("/v1/predict", json={"text": text}) for text in MIXED)
        return [serving.PredictResponse.model_validate_json(each.content) for each in await asyncio.gather(*requests)]

    answers = ask({"every-head": served}, ask_all, max_batch_chars=max_chars, max_delay_ms=50)
    nlp = spacy.load(served)
    columns = {answer: answer for answer in list_answers(nlp)}
    assert columns.keys() == {"ents", "cats", "spans", "tags"}
    n_found = dict.fromkeys(columns, 0)
    for text, answer in zip(MIXED, answers, strict=True):
        [found] = answer.model_dump(exclude_unset=True)["predictions"]
        check_same(found, json.loads(format_json(read_answers(nlp(text), columns, list_entity_groups(nlp)))))
        for column in columns:
            n_found[column] += len(found[column])
    assert all(n_found.values())
    assert {tuple(each.predictions[0].spans) for each in answers} == {("sc",)}  # entities are not among the spans


def test_texts_of_a_request_are_answered_in_order(served):
    async def ask_all(client):
        alone = [await client.post("/v1/predict", json={"text": text}) for text in MIXED]
        return alone, await client.post("/v1/predict", json={"texts": MIXED, "pipeline": "every-head"})

    alone, together = ask({"every-head": served}, ask_all)
    assert together.json()["pipeline"] == "every-head"
    assert len(together.json()["predictions"]) == len(MIXED)
    for found, expected in zip(together.json()["predictions"], alone, strict=True):
        check_same(found, expected.json()["predictions"][0])


@pytest.mark.parametrize(
    ("body", "location", "message"),
    [
        ({}, ["body"], "Expected text or texts, one of the two."),
        ({"text": "a", "texts": ["b"]}, ["body"], "Expected text or texts, one of the two."),
        ({"texts": []}, ["body", "texts"], "There are 0 texts. Expected 1 to 3."),
        ({"texts": ["a"] * 4}, ["body", "texts"], "There are 4 texts. Expected 1 to 3."),
        ({"text": "x" * 21}, ["body", "text"], "The text has 21 characters. Expected 20 at most."),
        ({"texts": ["a", "x" * 21]}, ["body", "texts", 1], "The text has 21 characters. Expected 20 at most."),
        (
            {"text": "a", "pipeline": "b"},
            ["body", "pipeline"],
            "There is no such pipeline. Expected one of every-head.",
        ),
        ({"text": 3}, ["body", "text"], "Input should be a valid string"),
        ({"texts": "a"}, ["body", "texts"], "Input should be a valid list"),
        ({"text": "a", "pipelin": "b"}, ["body", "pipelin"], "Extra inputs are not permitted"),
        (b"{", ["body", 1], "JSON decode error"),
        (b'{"texts": ["a", "\\ud800"]}', ["body", "texts", 1], "The text holds half of a surrogate pair"),
    ],
)
def test_what_is_refused_says_where_and_why(served, body, location, message):
    async def post(client):
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        return await client.post("/v1/predict", headers={"content-type": "application/json"}, **sent)

    refused = ask({"every-head": served}, post, queue_size=3, max_chars=20)
    assert refused.status_code == 422
    [problem] = refused.json()["detail"]
    assert problem["loc"] == location
    assert problem["msg"].startswith(message)


def test_the_gpu_is_the_one_that_is_set(ruler, monkeypatch):
    used = []
    monkeypatch.setattr("spacy_bertft.serving.worker.use_gpu", used.append)
    health = ask({"ruler": ruler}, lambda client: client.get("/health"), gpu_id=1)
    assert health.json()["ready"]
    assert used == [1]


@pytest.mark.parametrize("max_body_mb", [1, 0.5])
@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_request_of_too_many_bytes(served, is_streamed, max_body_mb):
    async def stream():
        for _ in range(1100):
            yield b"x" * int(1000 * max_body_mb)

    async def post(client):
        return await client.post(
            "/v1/predict", content=stream() if is_streamed else b"x" * int(1_100_000 * max_body_mb)
        )

    refused = ask({"every-head": served}, post, max_body_mb=max_body_mb)
    assert refused.status_code == 413
    expected = f"The request has more bytes. Expected {max_body_mb} MB at most."
    assert refused.json() == {"detail": [{"loc": ["body"], "msg": expected}]}


@pytest.mark.parametrize(("error", "status"), [(RuntimeError, 500), (DataError, 422)])
def test_a_text_that_a_component_fails_on_fails_alone(served, monkeypatch, error, status):
    predict = BertNer.predict

    def refuse(self, docs):
        if any("refuse" in doc.text for doc in docs):
            raise error("no")
        return predict(self, docs)

    monkeypatch.setattr(BertNer, "predict", refuse)
    texts = [*TEXTS, "refuse this", *TEXTS]

    async def ask_all(client):
        requests = [client.post("/v1/predict", json={"text": text}) for text in texts]
        requests.append(client.post("/v1/predict", json={"texts": ["a", "refuse that"]}))
        return await asyncio.gather(*requests), (await client.get("/metrics")).text

    (*answers, failed), metrics = ask({"every-head": served}, ask_all, max_delay_ms=200)
    assert [each.status_code for each in answers] == [200] * 5 + [status] + [200] * 5
    for text, answer in zip(TEXTS, answers, strict=False):
        check_same(answer.json()["predictions"][0], predict_alone(served, text))
    message = f"'bert_ner' failed: {error.__name__}: no."
    assert answers[5].json() == {"detail": [{"loc": ["body", "text"], "msg": message}]}
    assert failed.json() == {"detail": [{"loc": ["body", "texts", 1], "msg": message}]}
    assert 'bertft_failed_texts_total{pipeline="every-head"} 2.0' in metrics
    assert 'bertft_requests_total{status="200"} 10.0' in metrics
    assert f'bertft_requests_total{{status="{status}"}} 2.0' in metrics


def test_a_full_queue_refuses_and_loses_nothing(served, monkeypatch):
    predict, may_predict, has_begun = BertNer.predict, Event(), Event()

    def wait(self, docs):
        if docs[0].text != "warm up":
            has_begun.set()
            may_predict.wait()
        return predict(self, docs)

    monkeypatch.setattr(BertNer, "predict", wait)

    async def ask_all(client):
        first = asyncio.create_task(client.post("/v1/predict", json={"text": "show me"}))
        await asyncio.to_thread(has_begun.wait)  # it is being annotated, and does not wait any more
        others = [asyncio.create_task(client.post("/v1/predict", json={"text": text})) for text in TEXTS]
        while not sum(each.done() for each in others):
            await asyncio.sleep(0.01)
        may_predict.set()
        return [await each for each in (first, *others)]

    answers = ask({"every-head": served}, ask_all, queue_size=4, max_delay_ms=0)
    assert [each.status_code for each in answers] == [200] * 5 + [503]
    assert answers[-1].headers["retry-after"] == "1"
    assert answers[-1].json()["detail"][0]["msg"] == "Too many texts wait for every-head. Expected a later request."


def test_several_pipelines(served, ruler):
    async def ask_both(client):
        named = [await client.post("/v1/predict", json={"text": "a plot", "pipeline": each}) for each in ("a", "b")]
        return *named, await client.post("/v1/predict", json={"text": "a plot"})

    first, second, unnamed = ask({"a": served, "b": ruler}, ask_both)
    check_same(first.json(), {"pipeline": "a", "predictions": [predict_alone(served, "a plot")]})
    check_same(second.json(), {"pipeline": "b", "predictions": [predict_alone(ruler, "a plot")]})
    assert unnamed.status_code == 422
    assert unnamed.json()["detail"][0]["msg"] == "There is no such pipeline. Expected one of a, b."


def test_requests_while_a_pipeline_is_loaded(served, monkeypatch):
    may_load = Event()
    load = spacy.load
    monkeypatch.setattr(spacy, "load", lambda *arguments: (may_load.wait(), load(*arguments))[1])

    async def run():
        app = serving.build_app(ServeSettings({"a": str(served)}))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://server") as client,
        ):
            early = [await client.get(path) for path in ("/health", "/health/live", "/metrics")]
            early.append(await client.post("/v1/predict", json={"text": "a"}))
            may_load.set()
            while (ready := await client.get("/health")).status_code == 503:
                await asyncio.sleep(0.01)
            return early, ready

    (health, live, metrics, refused), ready = asyncio.run(run())
    assert (health.status_code, health.json()) == (503, {"live": True, "ready": False})
    assert (live.status_code, live.json()) == (200, {"live": True, "ready": False})
    assert metrics.status_code == 200
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert (ready.status_code, ready.json()) == (200, {"live": True, "ready": True})


def test_batches_have_at_most_so_many_characters(served):
    n_chars = sum(map(len, TEXTS))

    async def ask_all(client):
        await client.post("/v1/predict", json={"texts": TEXTS})
        return (await client.get("/metrics")).text

    for max_chars, n_batches in ((1, 5), (n_chars - 1, 2), (n_chars, 1)):
        metrics = ask({"a": served}, ask_all, max_batch_chars=max_chars)
        assert f'bertft_batch_texts_count{{pipeline="a"}} {n_batches:.1f}' in metrics
        assert f'bertft_batch_texts_sum{{pipeline="a"}} {len(TEXTS):.1f}' in metrics
        assert f'bertft_characters_total{{pipeline="a"}} {n_chars:.1f}' in metrics


def test_metrics_are_what_prometheus_reads(served):
    from prometheus_client.parser import text_string_to_metric_families

    async def read(client):
        await client.post("/v1/predict", json={"text": "show me"})
        return await client.get("/metrics")

    response = ask({"a": served}, read)
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {each.name: each for each in text_string_to_metric_families(response.text)}
    assert families["bertft_waiting_texts"].samples[0].value == 0
    assert families["bertft_request_seconds"].type == "histogram"
    assert families["process_resident_memory_bytes"].samples[0].value > 1e6


def test_the_description_has_examples_that_hold(served):
    async def read(client):
        return (await client.get("/openapi.json")).json(), (await client.get("/docs")).text

    description, page = ask({"every-head": served}, read)
    assert "swagger" in page.lower()
    assert "every-head" in description["info"]["description"]
    models = {"PredictRequest": serving.PredictRequest, "PredictResponse": serving.PredictResponse}
    for name, model in models.items():
        examples = description["components"]["schemas"][name]["examples"]
        assert examples
        for example in examples:
            assert model.model_validate(example).model_dump(exclude_unset=True) == example
    route = description["paths"]["/v1/predict"]["post"]
    assert route["responses"].keys() == {"200", "413", "422", "500", "503"}


def test_words_that_nobody_needs_any_more_are_forgotten(served, monkeypatch):
    monkeypatch.setattr("spacy_bertft.serving.worker._ZONE_CHARS", 20)
    texts = [f"a{number} b{number} c{number}" for number in range(40)]

    async def ask_all(client):
        return [await client.post("/v1/predict", json={"text": text}) for text in [*texts, *texts]]

    answers = ask({"a": served}, ask_all, max_delay_ms=0)
    for first, second in zip(answers[:40], answers[40:], strict=True):
        check_same(first.json(), second.json())
