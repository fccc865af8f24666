"""`/graphql`: one address for queries by POST, for subscriptions by WebSocket, and for a page that says so."""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response, WebSocket
from fastapi.responses import HTMLResponse, PlainTextResponse
from graphql import GraphQLError
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import ClientDisconnect
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from marketstream.serving.access.access import Access
from marketstream.serving.api.problems import Problem, refused_parameters
from marketstream.serving.graphql.context import Context, Services
from marketstream.serving.graphql.errors import explained, formatted
from marketstream.serving.graphql.page import POLICY, page, script
from marketstream.serving.graphql.schema import GuardedSchema, build_schema
from marketstream.serving.graphql.socket import Sockets

PATH = "/graphql"
_JSON = "application/json"
_GRAPHQL = "application/graphql-response+json"
_READING = (OperationType.QUERY,)
_MOST_ERRORS = 5


class Operation(BaseModel):
    """The body of a request; unknown members are passed over, as GraphQL over HTTP wants it."""

    query: str = Field(min_length=1)
    variables: dict[str, Any] | None = None
    operationName: str | None = Field(default=None, max_length=200)  # noqa: N815  # the protocol's own name


def graphql_router(services: Services, access: Access | None) -> APIRouter:
    """The routes over one process' readers.

    Args:
        services: What is told.
        access: Who may; None where nobody is asked.
    """
    router = APIRouter(include_in_schema=False)  # it has a schema of its own, which is no OpenAPI
    schema = build_schema(services.settings)
    sockets = Sockets(schema, services, access)

    @router.get(PATH)
    def about() -> Response:
        return HTMLResponse(page(), headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"})

    @router.get(f"{PATH}/console.js")
    def console() -> Response:
        return Response(script(), headers={"Cache-Control": "no-cache"}, media_type="text/javascript")

    @router.get(f"{PATH}/schema")
    def described() -> Response:
        if not services.settings.introspection:
            raise Problem(404, "not-served", "Not served", "This server does not tell its schema.")
        return PlainTextResponse(schema.as_str() + "\n", headers={"Cache-Control": "no-cache"})

    @router.post(PATH)
    async def operate(request: Request) -> Response:
        operation = await _read(request, services.settings.max_body_bytes)
        state = request.scope.get("state", {})
        context = Context(
            services=services, request_id=state.get("request_id", uuid.uuid4().hex), principal=state.get("principal")
        )
        body, executed = await _execute(schema, operation, context)
        accepts = request.headers.get("accept", "")
        media_type = _GRAPHQL if _GRAPHQL in accepts else _JSON
        status = 400 if media_type == _GRAPHQL and not executed else 200
        content = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
        return Response(content, status, {"Cache-Control": "private, no-store", "Vary": "Accept"}, media_type)

    @router.websocket(PATH)
    async def subscribe(websocket: WebSocket) -> None:
        await sockets.serve(websocket)

    return router


async def _read(request: Request, most: int) -> Operation:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != _JSON:
        raise Problem(415, "unsupported-media-type", "Unsupported media type", f"Send the operation as {_JSON}.")
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > most:
                raise Problem(413, "too-large", "Too large", f"A request has at most {most:,} bytes.")
    except ClientDisconnect:
        raise Problem(400, "broken-off", "Broken off", "The request ended before its body did.") from None
    try:
        return Operation.model_validate(_object(body))
    except ValidationError as error:
        faults = {".".join(map(str, each["loc"]))[:60]: each["msg"] for each in error.errors()[:_MOST_ERRORS]}
        raise refused_parameters(faults) from None


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(400, "bad-json", "Not JSON", f"The body is no JSON: {error}.") from None
    if not isinstance(given, dict):
        detail = 'The body is one JSON object such as {"query": "{ windows }"}; batches are not taken.'
        raise Problem(422, "invalid-parameter", "Invalid parameter", detail)
    return given


async def _execute(schema: GuardedSchema, operation: Operation, context: Context) -> tuple[dict[str, Any], bool]:
    """The response, and whether anything was executed."""
    try:
        async with asyncio.timeout(context.services.settings.timeout_seconds):
            result = await schema.execute(
                operation.query,
                variable_values=operation.variables,
                operation_name=operation.operationName,
                context_value=context,
                allowed_operation_types=_READING,
            )
    except TimeoutError as error:
        return _refused(GraphQLError("", original_error=error), context), True
    except InvalidOperationTypeError:
        return _refused(GraphQLError("Only queries come by POST; subscriptions by WebSocket."), context), False
    except CannotGetOperationTypeError:
        return _refused(GraphQLError("The document has no such operation: name one in operationName."), context), False
    body: dict[str, Any] = {}
    if result.errors:
        body["errors"] = formatted(result.errors)
    executed = result.data is not None or any(error.path for error in result.errors or ())
    if executed:
        body["data"] = result.data
    return body, executed


def _refused(error: GraphQLError, context: Context) -> dict[str, Any]:
    return {"errors": formatted([explained(error, context.request_id)])}
