"""The application: routes, what is refused, and how an answer is put together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, NoReturn

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from spacy_bertft.annotation.isolation import Failure
from spacy_bertft.errors import DataError, format_count
from spacy_bertft.serving.metrics import Metrics
from spacy_bertft.serving.schema import STATUSES, Health, PredictRequest, PredictResponse
from spacy_bertft.serving.settings import ServeSettings
from spacy_bertft.serving.worker import Worker

PREDICT = "/v1/predict"
_RETRY = {"Retry-After": "1"}  # seconds
Location = Sequence[str | int]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


def build_app(settings: ServeSettings) -> FastAPI:
    """Build the application; the pipelines are loaded when it starts.

    Args:
        settings: How requests are answered.
    """
    metrics = Metrics()
    workers: dict[str, Worker] = {}

    @asynccontextmanager
    async def run_workers(_: FastAPI) -> AsyncIterator[None]:
        workers.update({name: Worker(name, settings, metrics) for name in settings.pipelines})
        for worker in workers.values():
            worker.start()
        yield
        for worker in workers.values():
            worker.close()
        for worker in workers.values():
            await asyncio.to_thread(worker.join)

    app = FastAPI(
        title="spacy-bertft",
        description=f"Pipelines: {', '.join(settings.pipelines)}.",
        lifespan=run_workers,
        redoc_url=None,
    )
    app.add_middleware(RequestMeter, metrics=metrics, max_body_mb=settings.max_body_mb)

    @app.post(PREDICT, response_model=PredictResponse, responses=STATUSES)
    async def predict(request: PredictRequest) -> Response:
        """Predict the entities, categories, spans, tags and answers of one text or of several."""
        texts = check_texts(request, settings)
        name = check_pipeline(request.pipeline, settings.pipelines)
        worker = workers[name]
        if not worker.is_ready:
            _refuse(503, ("body", "pipeline"), f"{name} is being loaded. Expected a later request.", _RETRY)
        if worker.n_waiting + len(texts) > settings.queue_size:
            _refuse(503, ("body",), f"Too many texts wait for {name}. Expected a later request.", _RETRY)
        results = [await each for each in worker.add(texts)]
        return Response(format_answer(name, results, request.text is not None), media_type="application/json")

    @app.get("/health", response_model=Health, responses={503: {"model": Health}})
    async def report_health() -> Response:
        """Tell whether this process runs (`live`), and whether all pipelines are loaded (`ready`, or else 503)."""
        health = Health(ready=all(worker.is_ready for worker in workers.values()))
        return JSONResponse(health.model_dump(), 200 if health.ready else 503)

    @app.get("/health/live")
    async def report_live() -> Health:
        """Tell whether this process runs, whether or not it has loaded its pipelines."""
        return Health(ready=all(worker.is_ready for worker in workers.values()))

    @app.get("/metrics")
    async def report_metrics() -> Response:
        """Report counts and times in Prometheus' text format."""
        return Response(metrics.format(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.exception_handler(RequestValidationError)
    async def report_invalid(_: Request, error: RequestValidationError) -> Response:
        problems = [{"loc": each["loc"], "msg": each["msg"]} for each in error.errors()]
        return JSONResponse({"detail": problems}, 422)

    return app


def check_texts(request: PredictRequest, settings: ServeSettings) -> list[str]:
    """Return the texts of a request.

    Raises:
        HTTPException: There is no text, there are too many, or one is too long or no Unicode.
    """
    if (request.text is None) == (request.texts is None):
        _refuse(422, ("body",), "Expected text or texts, one of the two.")
    texts = [request.text] if request.text is not None else request.texts or []
    if not 0 < len(texts) <= settings.queue_size:
        problem = f"There are {format_count(len(texts), 'text')}. Expected 1 to {settings.queue_size:,}."
        _refuse(422, ("body", "texts"), problem)
    for index, text in enumerate(texts):
        problem = ""
        if len(text) > settings.max_chars:
            problem = f"The text has {len(text):,} characters. Expected {settings.max_chars:,} at most."
        elif not is_valid_unicode(text):
            problem = "The text holds half of a surrogate pair, which is no character. Expected valid Unicode."
        if problem:
            _refuse(422, _locate(index, request.text is not None), problem)
    return texts


def is_valid_unicode(text: str) -> bool:
    """Tell whether a text has only characters: JSON, as Python reads it, may hold halves of a UTF-16 pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_pipeline(name: str | None, pipelines: Mapping[str, str]) -> str:
    """Return the name of the pipeline that is meant: the one that is named, or the only one.

    Raises:
        HTTPException: There is none of that name, or there are several, and none is named.
    """
    chosen = next(iter(pipelines)) if name is None and len(pipelines) == 1 else name
    if chosen is None or chosen not in pipelines:
        _refuse(422, ("body", "pipeline"), f"There is no such pipeline. Expected one of {', '.join(pipelines)}.")
    return chosen


def format_answer(name: str, results: Sequence[str | Failure], is_single: bool) -> str:
    """Put an answer together.

    Args:
        name: The pipeline.
        results: What was predicted of each text, as JSON.
        is_single: Whether the request had one text and no list.

    Raises:
        HTTPException: A text failed.
    """
    for index, result in enumerate(results):
        if isinstance(result, Failure):
            _refuse(422 if isinstance(result.error, DataError) else 500, _locate(index, is_single), f"{result}.")
    return f'{{"pipeline": {json.dumps(name)}, "predictions": [{", ".join(map(str, results))}]}}'


def _locate(index: int, is_single: bool) -> Location:
    return ("body", "text") if is_single else ("body", "texts", index)


def _refuse(status: int, location: Location, problem: str, headers: Mapping[str, str] | None = None) -> NoReturn:
    raise HTTPException(status, [{"loc": location, "msg": problem}], headers)


class RequestMeter:
    """ASGI middleware that counts requests for predictions by their status, their seconds, and their bytes.

    Args:
        app: The application.
        metrics: What is counted.
        max_body_mb: Megabytes of a request; reading a larger one raises, which FastAPI makes a response of.
    """

    def __init__(
        self, app: Callable[[_Message, _Receive, _Send], Awaitable[None]], metrics: Metrics, max_body_mb: float
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._max_body_mb = max_body_mb

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Pass a request on, and count it if it is for predictions."""
        if scope.get("path") != PREDICT:
            return await self._app(scope, receive, send)
        start, n_bytes = monotonic(), 0

        async def receive_and_count() -> _Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > self._max_body_mb * 1_000_000:
                _refuse(413, ("body",), f"The request has more bytes. Expected {self._max_body_mb:g} MB at most.")
            return message

        async def send_and_count(message: _Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                self._metrics.requests.labels(message["status"]).inc()
                self._metrics.request_seconds.observe(monotonic() - start)

        await self._app(scope, receive_and_count, send_and_count)
