"""Subscriptions over WebSocket: strawberry's `graphql-transport-ws`, within bounds and for whoever may.

Whoever brings no credential with the handshake brings it in `connection_init`, as `authorization` or `x-api-key`.
"""

import asyncio
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import Headers
from starlette.websockets import WebSocket
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http.async_base_view import AsyncBaseHTTPView
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.subscriptions.protocols.graphql_transport_ws.types import Message, SubscribeMessage

from marketstream.domain.errors import AccessDeniedError, Denial
from marketstream.observability import metrics
from marketstream.serving.access.access import Access, credential_of
from marketstream.serving.access.keys import id_of
from marketstream.serving.access.limits import TooManyRequestsError
from marketstream.serving.access.middleware import address_of
from marketstream.serving.access.principal import Principal, Role
from marketstream.serving.access.refusals import BadCredentialsError
from marketstream.serving.graphql.connection import Connection
from marketstream.serving.graphql.context import Context, Services
from marketstream.serving.graphql.errors import body_of, too_many
from marketstream.serving.graphql.schema import GuardedSchema
from marketstream.serving.websocket.limits import Admission
from marketstream.serving.websocket.protocol import CLOSE_CODES, Close, RequestError

_WATCH_SECONDS = 0.5
_LONGEST_ID = 64
_INVALID = 4_400
_TOO_MANY = 4_429
_UNAUTHENTICATED = 4_401
_SUBPROTOCOL = 4_406
_DENIALS = {
    Denial.EXPIRED: Close.CREDENTIAL_EXPIRED,
    Denial.REVOKED: Close.CREDENTIAL_REVOKED,
    Denial.ROLE: Close.DENIED,
    Denial.SCOPE: Close.DENIED,
    Denial.UNCHECKED: Close.TRY_AGAIN,
}


class _Payload(BaseModel):
    query: str
    variables: dict[str, Any] | None = None
    operationName: str | None = None  # noqa: N815  # the protocol's own name
    extensions: dict[str, Any] | None = None


class _Said(BaseModel):
    """What every client's message has to look like before the library takes it apart."""

    model_config = ConfigDict(extra="ignore")

    type: str = Field(max_length=40)
    id: str = Field(default="", max_length=_LONGEST_ID)
    payload: dict[str, Any] | None = None


class Handler(BaseGraphQLTransportWSHandler[Context, None]):
    """The library's, with what it does not look at: whether messages are what they should be, and how many come."""

    def __init__(self, sockets: "Sockets", connection: Connection, context: Context) -> None:
        super().__init__(
            cast("AsyncBaseHTTPView[Any, Any, Any, Any, Any, Context, None]", _View(sockets, self, connection)),
            connection,
            context,
            None,
            sockets.schema,
            timedelta(seconds=sockets.bounds.auth_seconds),
            sockets.services.settings.max_operations,
        )
        self.key_id: str | None = None
        self.entered: str | None = None
        self.address = ""
        self._sockets = sockets
        self._connection = connection

    async def handle_message(self, message: Message) -> None:
        """Refuses what is no message, and what comes too often."""
        try:
            said = _Said.model_validate(message)
            if said.type == "subscribe":
                _Payload.model_validate(said.payload)
        except ValidationError:
            await self.handle_invalid_message("Invalid message")
            return
        try:
            self._connection.limit.spend()
        except RequestError as error:
            if said.type != "subscribe" or self._connection.limit.flooded:
                await self._connection.close(_TOO_MANY, "Too many requests")
                return
            await self._refuse(said.id, {"message": str(error), "extensions": {"code": error.fault}})
            return
        await super().handle_message(message)

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Counts every operation as a request."""
        if self.connection_acknowledged and self.context.principal is not None and self._sockets.access is not None:
            try:
                self._sockets.access.spend(self.context.principal.name)
            except TooManyRequestsError as error:
                await self._refuse(message["id"], body_of(too_many(error), self.context.request_id))
                return
        await super().handle_subscribe(message)

    async def handle_task_exception(self, error: Exception) -> None:
        """Logs a fault of ours; that a client has left in the middle of an event is none."""
        if not isinstance(error, WebSocketDisconnected):
            await super().handle_task_exception(error)

    async def _refuse(self, operation_id: str, error: Mapping[str, object]) -> None:
        await self._connection.send_json({"id": operation_id, "type": "error", "payload": [error]})


class _View:
    """What the library asks its view: whether a client may come in."""

    def __init__(self, sockets: "Sockets", handler: Handler, connection: Connection) -> None:
        self._sockets = sockets
        self._handler = handler
        self._connection = connection

    async def on_ws_connect(self, context: Context) -> dict[str, object] | None:
        """Lets a client in that is known, or says in its first message who it is."""
        try:
            await self._sockets.admit(self._handler, context)
        except AccessDeniedError as error:
            why = _DENIALS.get(error.denial, Close.UNAUTHENTICATED)
            await self._connection.close(CLOSE_CODES[why], str(error))
            raise ConnectionRejectionError from None
        except BadCredentialsError as error:
            await self._connection.close(_UNAUTHENTICATED, str(error))
            raise ConnectionRejectionError from None
        except TooManyRequestsError:
            await self._connection.close(_TOO_MANY, "Too many requests")
            raise ConnectionRejectionError from None
        except RequestError as error:
            await self._connection.close(CLOSE_CODES[Close.TOO_MANY_CLIENTS], str(error))
            raise ConnectionRejectionError from None
        return None


class Sockets:
    """All connections of one process.

    Args:
        schema: What is asked.
        services: What is told, and how many may come.
        access: Who may; None where nobody is asked.
    """

    def __init__(self, schema: GuardedSchema, services: Services, access: Access | None) -> None:
        self.schema = schema
        self.services = services
        self.access = access
        self.bounds = services.bounds
        self._admission = Admission(services.bounds)

    async def serve(self, websocket: WebSocket) -> None:
        """Serves one connection until it ends."""
        if GRAPHQL_TRANSPORT_WS_PROTOCOL not in websocket.scope["subprotocols"]:
            await websocket.accept()
            await websocket.close(_SUBPROTOCOL, "Subprotocol not acceptable")
            return
        address = address_of(websocket.scope)
        try:
            self._admission.come(address)
        except RequestError:
            await websocket.accept(GRAPHQL_TRANSPORT_WS_PROTOCOL)
            await websocket.close(CLOSE_CODES[Close.TOO_MANY_CLIENTS], Close.TOO_MANY_CLIENTS)
            return
        try:
            await self._converse(websocket, address)
        finally:
            self._admission.go(address)

    async def admit(self, handler: Handler, context: Context) -> None:
        """Finds out who it is, where the handshake did not tell.

        Raises:
            AccessDeniedError: They may not come in.
            BadCredentialsError: They bring several credentials.
            TooManyRequestsError: They come too often, or were wrong too often.
            RequestError: They are connected too often.
        """
        if self.access is None:
            return
        if context.principal is None:
            credential = _credential(context.connection_params or {})
            entry = await self.access.admit(credential, handler.address, "graphql")
            context.principal, handler.key_id = entry.principal, id_of(credential or "")
        if context.principal is not None:
            context.principal.require(Role.VIEWER, "graphql")
            self._admission.enter(context.principal.name, limited=not self.access.open)
            handler.entered = context.principal.name

    async def _converse(self, websocket: WebSocket, address: str) -> None:
        await websocket.accept(GRAPHQL_TRANSPORT_WS_PROTOCOL)
        principal: Principal | None = websocket.scope.get("state", {}).get("principal")
        context = Context(services=self.services, request_id=uuid.uuid4().hex, principal=principal)
        connection = Connection(websocket, self.bounds)
        handler = Handler(self, connection, context)
        handler.address = address
        if principal is not None:
            handler.key_id = id_of(credential_of(Headers(scope=websocket.scope)) or "")
        metrics.GRAPHQL_CONNECTIONS.inc()
        conversation = asyncio.create_task(handler.handle())
        watch = asyncio.create_task(self._watch(handler, connection))
        try:
            await asyncio.wait((conversation, connection.ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            metrics.GRAPHQL_CONNECTIONS.dec()
            watch.cancel()
            conversation.cancel()
            await asyncio.wait((conversation, watch))
            if handler.entered is not None:
                self._admission.leave(handler.entered)
        if connection.ended.done():
            await connection.close(*connection.ended.result())
        elif not conversation.cancelled():
            conversation.result()  # a fault of ours is the server's to log

    async def _watch(self, handler: Handler, connection: Connection) -> None:
        """Ends whoever would not be let in any more, and tells all others that all is well."""
        loop = asyncio.get_running_loop()
        beat_due = loop.time() + self.bounds.heartbeat_seconds
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            why = self._why_over(handler)
            if why is not None:
                connection.finish(why)
                return
            if loop.time() >= beat_due and handler.connection_acknowledged:
                beat_due = loop.time() + self.bounds.heartbeat_seconds
                live = self.services.live
                stream = "away" if live is not None and live.away else "live"
                with suppress(WebSocketDisconnected):
                    await connection.send_json({"type": "ping", "payload": {"stream": stream}})

    def _why_over(self, handler: Handler) -> Close | None:
        principal = handler.context.principal
        if self.access is None or principal is None:
            return None
        error = self.access.ended(handler.key_id) if handler.key_id else None
        if error is not None:
            return _DENIALS.get(error.denial, Close.UNAUTHENTICATED)
        expires_us = principal.expires_us
        if expires_us is not None and expires_us <= self.services.readers.market_data.now_us():
            return Close.CREDENTIAL_EXPIRED
        return None


def _credential(params: Mapping[str, Any]) -> str | None:
    """The credential in `connection_init`, read as a request's headers are."""
    named = {name.lower(): value for name, value in params.items() if isinstance(value, str)}
    headers: dict[str, str] = {name: named[name] for name in ("authorization", "x-api-key") if name in named}
    return credential_of(Headers(headers))
