"""Errors as `application/problem+json` (RFC 9457): one shape for every failure, and a sentence that says what to do."""

import difflib
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from marketstream.domain.errors import StoreError, StoreUnavailableError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
_RETRY = {"Retry-After": str(RETRY_AFTER_SECONDS)}


class ProblemBody(BaseModel):
    """The members of a problem; some kinds add their own, such as `suggestions` or `errors`."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "/problems/unknown-symbol",
                "title": "Unknown symbol",
                "status": 404,
                "detail": "No symbol 'BTCUSD' is known. Did you mean BTCUSDT?",
                "instance": "/api/v1/latest/BTCUSD",
                "request_id": "0c6f…",
                "suggestions": ["BTCUSDT"],
            }
        },
    )

    type: str = Field(description="The kind of problem, stable")
    title: str
    status: int
    detail: str = Field(description="What went wrong here and what to do")
    instance: str
    request_id: str


class Problem(Exception):  # noqa: N818  # the RFC's own name for it
    """A request can't be answered.

    Args:
        status: HTTP status.
        kind: Last part of the problem's `type`.
        title: The kind, in words.
        detail: What went wrong this time and what to do.
        extra: Further members.
    """

    def __init__(self, status: int, kind: str, title: str, detail: str, **extra: object) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.extra = extra


def near(name: str, known: Sequence[str]) -> list[str]:
    """Known names that are spelt alike, whatever their case; at most three, the nearest first."""
    by_folded = {each.casefold(): each for each in known}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6)
    return [by_folded[each] for each in found]


def unknown_symbol(symbol: str, known: Sequence[str]) -> Problem:
    """A 404 that names symbols spelt alike."""
    alike = near(symbol, known)
    hint = f"Did you mean {' or '.join(alike)}?" if alike else "GET /api/v1/symbols lists them."
    return Problem(404, "unknown-symbol", "Unknown symbol", f"No symbol {symbol!r} is known. {hint}", suggestions=alike)


def invalid_parameter(name: str, fault: str, **extra: object) -> Problem:
    """A 422 about one query parameter."""
    errors = [{"parameter": name, "fault": fault}]
    return Problem(422, "invalid-parameter", "Invalid parameter", f"{name}: {fault}", errors=errors, **extra)


def unreadable_body() -> Problem:
    """A 400 about a body of which not even the faults can be named."""
    return Problem(400, "unreadable-body", "Unreadable body", "The body is no JSON in UTF-8.")


def refused_parameters(faults: Mapping[str, str]) -> Problem:
    """A 422 about query parameters by their names."""
    errors = [{"parameter": name, "fault": fault} for name, fault in faults.items()]
    detail = "; ".join(f"{name} {fault}" for name, fault in faults.items())
    return Problem(422, "invalid-parameter", "Invalid parameter", detail, errors=errors)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an operation's description says of its failures."""
    texts = {
        400: "The body is no JSON in UTF-8",
        404: "Unknown symbol, or nothing of it yet",
        406: "None of the formats that the Accept header names",
        422: "A parameter is wrong",
        503: "No store can answer",
    }
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemBody.__name__}"}}}
    return {status: {"description": texts[status], "content": content} for status in statuses}


def install(app: FastAPI) -> None:
    """Makes every failure of the application a problem."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(StoreUnavailableError, _on_store_away)
    app.add_exception_handler(Exception, _on_crash)


def body_of(problem: Problem, path: str, request_id: str) -> dict[str, Any]:
    """The problem as it goes out."""
    return {
        "type": f"/problems/{problem.kind}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": path,
        "request_id": request_id,
        **problem.extra,
    }


def store_away(error: Exception) -> Problem:
    """A 503 that says which store could have answered."""
    detail = f"No store that could answer is there now: {error}. Try again shortly."
    return Problem(503, "stores-unavailable", "Market data unavailable", detail)


def _respond(request: Request, problem: Problem, headers: dict[str, str] | None = None) -> Response:
    body = body_of(problem, request.scope["path"], request.scope.get("state", {}).get("request_id", ""))
    return Response(orjson.dumps(body), problem.status, {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101  # registered for this type alone
    return _respond(request, error, _RETRY if error.status == HTTPStatus.SERVICE_UNAVAILABLE else None)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for this type alone
    faults = [{"parameter": str(fault["loc"][-1]), "fault": fault["msg"]} for fault in error.errors()]
    detail = "; ".join(f"{fault['parameter']}: {fault['fault']}" for fault in faults)
    return _respond(request, Problem(422, "invalid-parameter", "Invalid parameter", detail, errors=faults))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this type alone
    title = HTTPStatus(error.status_code).phrase
    kind = title.lower().replace(" ", "-")
    detail = "No such address; /docs lists them." if error.status_code == HTTPStatus.NOT_FOUND else error.detail
    if error.status_code == HTTPStatus.BAD_REQUEST:  # the framework's, for a body that it can't read
        return _respond(request, unreadable_body())
    return _respond(request, Problem(error.status_code, kind, title, detail), dict(error.headers or {}))


async def _on_store_away(request: Request, error: Exception) -> Response:
    assert isinstance(error, StoreError)  # noqa: S101  # registered for its subclass alone
    return _respond(request, store_away(error), _RETRY)


async def _on_crash(request: Request, _error: Exception) -> Response:
    # The server logs the traceback; the envelope logs the request under its id.
    return _respond(request, Problem(500, "internal-error", "Internal error", "The fault is ours; see the log."))
