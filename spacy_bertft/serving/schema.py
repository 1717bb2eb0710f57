"""What requests and answers hold, for the checks of requests and for the page that describes them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

_REQUESTS: Any = [
    {"text": "show me films with drew barrymore from the 1980s"},
    {"texts": ["who directed the godfather", "a comedy of 1994"], "pipeline": "model-best"},
]
_ENTITY: Any = {"start": 19, "end": 33, "label": "ACTOR", "text": "drew barrymore", "score": 0.98}
_ANSWER: Any = {"pipeline": "model-best", "predictions": [{"ents": [_ENTITY]}]}
_PROBLEM: Any = {"loc": ["body", "texts", 1], "msg": "The text has 12,000 characters. Expected 10,000 at most."}


class PredictRequest(BaseModel):
    """One text or several, and the pipeline where there are several."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": _REQUESTS})

    text: str | None = None
    texts: list[str] | None = None
    pipeline: str | None = None


class SpanModel(BaseModel):
    """An entity or a span: a half-open range of characters, its label, and its probability where there is one."""

    start: int
    end: int
    label: str
    text: str
    score: float | None


class TagModel(BaseModel):
    """The tag of a token."""

    start: int
    end: int
    tag: str


class AnswerModel(BaseModel):
    """An answer to a question."""

    start: int
    end: int
    text: str
    score: float


class PredictionModel(BaseModel):
    """What the pipeline predicts of a text: of these, what its components can."""

    ents: list[SpanModel] = []
    cats: dict[str, float | None] = {}
    spans: dict[str, list[SpanModel]] = {}
    tags: list[TagModel] = []
    answers: list[AnswerModel] | None = None


class PredictResponse(BaseModel):
    """The predictions of all texts, in their order."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ANSWER]})

    pipeline: str
    predictions: list[PredictionModel]


class Problem(BaseModel):
    """What is wrong with a request, and where."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PROBLEM]})

    loc: list[str | int]
    msg: str


class Problems(BaseModel):
    """Why there is no answer."""

    detail: list[Problem]


class Health(BaseModel):
    """Whether the process runs, and whether all pipelines are loaded."""

    live: bool = True
    ready: bool


STATUSES: dict[int | str, dict[str, Any]] = {
    413: {"model": Problems, "description": "The request has too many bytes."},
    422: {"model": Problems, "description": "The request does not hold what is expected."},
    500: {"model": Problems, "description": "A component failed on a text."},
    503: {"model": Problems, "description": "Pipelines are being loaded, or too many texts wait. See Retry-After."},
}
