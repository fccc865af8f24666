"""What clients are told went wrong: as REST's problems, with the request's id; a fault of ours only in the log."""

from collections.abc import Iterator, Sequence
from typing import Any

from graphql import GraphQLError
from strawberry.extensions import SchemaExtension

from marketstream.domain.errors import StoreUnavailableError
from marketstream.observability.logs import get_logger
from marketstream.serving.access.limits import TooManyRequestsError
from marketstream.serving.api.problems import Problem, store_away

_MOST_ERRORS = 20

_log = get_logger("graphql")


class Errors(SchemaExtension):
    """Gives every error a code and the request's id."""

    def on_operation(self) -> Iterator[None]:
        """Of queries, and of what is refused before it is executed."""
        yield
        self._explain(self.execution_context.result)

    def on_stream_result(self, result: object) -> Iterator[None]:
        """Of each event of a subscription."""
        self._explain(result)
        yield

    def _explain(self, result: Any) -> None:
        errors = getattr(result, "errors", None)
        if errors:
            request_id = getattr(self.execution_context.context, "request_id", "")
            result.errors = [explained(error, request_id) for error in errors[:_MOST_ERRORS]]


def explained(error: GraphQLError, request_id: str) -> GraphQLError:
    """The error as clients are told it."""
    if (error.extensions or {}).get("request_id"):
        return error  # a subscription's last event passes here twice
    problem = _problem_of(error)
    if problem is not None:
        told = {"code": problem.kind, "status": problem.status, **problem.extra}
        return _with(error, problem.detail, told, request_id)
    original = error.original_error
    if original is None or isinstance(original, GraphQLError):
        told = {"code": "bad-document", "status": 400, **(error.extensions or {})}
        return _with(error, error.message, told, request_id)
    _log.error("GraphQL failed", request_id=request_id, path=error.path, exc_info=original)
    return _with(error, "The fault is ours; see the log.", {"code": "internal-error", "status": 500}, request_id)


def body_of(problem: Problem, request_id: str) -> dict[str, Any]:
    """A problem as one error of a response."""
    extensions = {"code": problem.kind, "status": problem.status, **problem.extra, "request_id": request_id}
    return {"message": problem.detail, "extensions": extensions}


def too_many(error: TooManyRequestsError) -> Problem:
    """A 429 that says when to come again."""
    seconds = error.retry_after_seconds
    detail = f"{error}; try again in {seconds} s."
    return Problem(429, "quota-exceeded", "Too many requests", detail, retry_after_seconds=seconds)


def formatted(errors: Sequence[GraphQLError]) -> list[Any]:
    """Errors as they go out."""
    return [error.formatted for error in errors]


def _problem_of(error: GraphQLError) -> Problem | None:
    original = error.original_error
    if isinstance(original, Problem):
        return original
    if isinstance(original, StoreUnavailableError):
        return store_away(original)
    if isinstance(original, TimeoutError):
        return Problem(503, "timeout", "Timeout", "This took too long; ask for less at once.")
    if isinstance(original, RecursionError):
        return Problem(400, "asks-too-much", "Too deep", "This document is nested too deep to be read.")
    return None


def _with(error: GraphQLError, message: str, extensions: dict[str, Any], request_id: str) -> GraphQLError:
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions={**extensions, "request_id": request_id},
    )
