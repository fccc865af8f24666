"""Listens: opening handshakes, health over HTTP, heartbeats, and the end of what is too slow, too old or too late."""

import asyncio
import ssl
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers as RequestHeaders
from starlette.responses import Response as Refusal
from starlette.types import Scope
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from marketstream.domain.errors import ConfigurationError
from marketstream.serving.access.access import check_local, check_same_site, credential_of
from marketstream.serving.access.middleware import REFUSALS, address_of
from marketstream.serving.access.refusals import refusal
from marketstream.serving.websocket.client import Client, Conversation, why_denied
from marketstream.serving.websocket.hub import Hub
from marketstream.serving.websocket.protocol import Close, RequestError, message
from marketstream.serving.websocket.service import Service
from marketstream.settings import ServingSettings

_WRITE_BUFFER = 64 * 1024  # bytes to one client, beyond which it counts as not reading
_BACKLOG = 1_024  # clients that may knock at the same moment, as after a restart
_CLOSE_SECONDS = 5.0  # how long a client may take to end a connection that this side wants to end
_PING_SECONDS = 20.0
_SWEEP_SECONDS = 0.5


class WebSocketServer:
    """The listening side.

    Args:
        service: What is done for clients.
        hub: Its sessions are watched.
        serving: Where to listen.
        stream_away: Whether Kafka is away.
    """

    def __init__(self, service: Service, hub: Hub, serving: ServingSettings, stream_away: Callable[[], bool]) -> None:
        self._service = service
        self._hub = hub
        self._serving = serving
        self._stream_away = stream_away
        self._any_page = "*" in serving.cors_origins
        self._proxies: Any = ProxyHeadersMiddleware(_nothing, serving.trusted_proxies)  # uvicorn has types of its own
        self._clients: set[Client] = set()
        self._beat_due = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop`, then ends every connection with 1001.

        Raises:
            ConfigurationError: The address can't be listened on.
        """
        server = await self._listen()
        try:
            while not stop.is_set():
                self._sweep(asyncio.get_running_loop().time())
                try:
                    await asyncio.wait_for(stop.wait(), _SWEEP_SECONDS)
                except TimeoutError:
                    continue
        finally:
            server.close(reason=Close.SHUTDOWN)
            await server.wait_closed()

    async def _listen(self) -> Server:
        host, port, tls = self._serving.host, self._serving.websocket_port, _tls(self._serving)
        try:
            return await serve(
                self._converse,
                host,
                port,
                process_request=self._examine,
                create_connection=Client,
                backlog=_BACKLOG,
                ssl=tls,
                compression=None,  # a client's own window of 32 kB and more, and a multiple of the time
                max_size=self._service.settings.max_message_bytes,
                write_limit=_WRITE_BUFFER,
                ping_interval=_PING_SECONDS,
                ping_timeout=_PING_SECONDS,
                close_timeout=_CLOSE_SECONDS,
                server_header=None,
            )
        except OSError as error:
            raise ConfigurationError(
                f"WebSocket can't be served on {host}:{port} ({error.strerror}); "
                "set MARKETSTREAM_SERVING__WEBSOCKET_PORT"
            ) from error

    async def _converse(self, connection: ServerConnection) -> None:
        client = _client(connection)
        try:
            self._service.admission.come(client.address)
        except RequestError as error:
            client.finish(Close.TOO_MANY_CLIENTS, str(error))
            await client.wait_closed()
            return
        self._clients.add(client)
        try:
            await Conversation(client, self._service).run()
            await client.wait_closed()
        finally:
            self._clients.discard(client)
            self._service.admission.go(client.address)

    async def _examine(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answers what is no handshake; refuses pages of other sites, and credentials that are not good."""
        path = urlsplit(request.path).path
        if path in ("/health/live", "/health/ready"):
            return self._health(path)
        if path not in ("/", "/ws"):
            return connection.respond(HTTPStatus.NOT_FOUND, "there is the WebSocket at /, and /health/live\n")
        client = _client(connection)
        scope = await self._scope(client, path, request)
        client.address = address_of(scope) or client.address
        try:
            await self._enter(client, RequestHeaders(scope=scope))
        except REFUSALS as error:
            return _as_response(refusal(scope, error))
        return None

    async def _enter(self, client: Client, headers: RequestHeaders) -> None:
        access = self._service.access
        if access.open:
            check_local(headers, changes=not self._any_page, pages=access.pages)
            await self._service.admit(client, None)
            return
        if not self._any_page:
            check_same_site(headers, access.pages, local=True)
        credential = credential_of(headers)
        if credential is None:
            access.visitor(client.address)  # a browser can send no header: it says who it is in its first message
        else:
            await self._service.admit(client, credential)

    async def _scope(self, client: Client, path: str, request: Request) -> Scope:
        """The handshake as REST and the screens would get it, with a trusted proxy's word for where it came from."""
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.raw_items()]
        peer = client.remote_address
        where = (str(peer[0]), int(peer[1])) if peer else None
        scope: Scope = {"type": "websocket", "scheme": "ws", "path": path, "headers": raw, "client": where}
        await self._proxies(scope, _nothing, _nothing)
        return scope

    def _health(self, path: str) -> Response:
        ready = not self._stream_away()
        status = HTTPStatus.OK if ready or path == "/health/live" else HTTPStatus.SERVICE_UNAVAILABLE
        body = {"status": "live"}
        if path == "/health/ready":
            body = {"status": "ready" if ready else "unavailable", "stream": "live" if ready else "away"}
        content = orjson.dumps(body | {"clients": self._service.admission.clients})
        headers = Headers({"Content-Type": "application/json", "Cache-Control": "no-store", "Connection": "close"})
        headers["Content-Length"] = str(len(content))
        return Response(status, status.phrase, headers, content)

    def _sweep(self, now: float) -> None:
        settings = self._service.settings
        for session in list(self._hub.sessions.values()):
            link, behind = session.link, session.behind_since
            if link is not None and behind is not None and now - behind > settings.shed_after_seconds:
                seconds = settings.shed_after_seconds
                text = f"you read too slowly: updates have waited for over {seconds:g} s"
                link.finish(Close.SLOW_CONSUMER, text, seq=session.seq, queued=session.queued, **session.left_out())
                session.detach(link)
            elif session.detached_at is not None and now - session.detached_at > settings.resume_seconds:
                self._hub.drop(session)
        now_us = self._service.clock.now_us()
        self._end_expired(now_us)
        if now >= self._beat_due:
            self._beat_due = now + settings.heartbeat_seconds
            self._beat(now_us)
        self._hub.measure()

    def _end_expired(self, now_us: int) -> None:
        """Ends the connections of whoever would not be let in any more."""
        held = {client.key_id for client in self._clients if client.key_id is not None}
        ended = {key_id: error for key_id in held if (error := self._service.access.ended(key_id)) is not None}
        for client in list(self._clients):
            principal, error = client.principal, ended.get(client.key_id or "")
            if error is not None:
                client.finish(why_denied(error), str(error))
            elif principal is not None and principal.expires_us is not None and principal.expires_us <= now_us:
                client.finish(Close.CREDENTIAL_EXPIRED, "your credential has expired: come again with a new one")

    def _beat(self, now_us: int) -> None:
        stream = "away" if self._stream_away() else "live"
        for client in self._clients:
            if client.session is not None and not client.blocked:
                client.tell(message("heartbeat", time_us=now_us, seq=client.session.seq, stream=stream))


def _client(connection: ServerConnection) -> Client:
    if not isinstance(connection, Client):
        raise TypeError("the server makes clients")
    return connection


def _tls(serving: ServingSettings) -> ssl.SSLContext | None:
    if serving.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(serving.tls_certificate, serving.tls_key)
    except OSError as error:
        raise ConfigurationError(
            f"{serving.tls_certificate} and its key can't be used ({error.strerror or error}); "
            "set MARKETSTREAM_SERVING__TLS_CERTIFICATE and MARKETSTREAM_SERVING__TLS_KEY"
        ) from error
    return context


def _as_response(answer: Refusal) -> Response:
    headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.raw_headers])
    headers["Connection"] = "close"
    status = HTTPStatus(answer.status_code)
    return Response(status, status.phrase, headers, bytes(answer.body))


async def _nothing(*_: object) -> None:
    """Takes the place of an application: what is wanted is what happens before it."""
