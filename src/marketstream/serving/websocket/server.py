"""Listens: opening handshakes, health over HTTP, heartbeats, and the end of what is too slow, too old or too late."""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

import orjson
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from marketstream.domain.errors import AccessDeniedError, ConfigurationError, Denial
from marketstream.serving.websocket.client import Client, Conversation
from marketstream.serving.websocket.hub import Hub
from marketstream.serving.websocket.protocol import Close, RequestError, message
from marketstream.serving.websocket.service import Service
from marketstream.settings import ServingSettings

_WRITE_BUFFER = 64 * 1024  # bytes to one client, beyond which it counts as not reading
_BACKLOG = 1_024  # clients that may knock at the same moment, as after a restart
_CLOSE_SECONDS = 5.0  # how long a client may take to end a connection that this side wants to end
_PING_SECONDS = 20.0
_SWEEP_SECONDS = 0.5
_OWN_PAGES = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_STATUS = {Denial.ROLE: HTTPStatus.FORBIDDEN, Denial.SCOPE: HTTPStatus.FORBIDDEN}
_STATUS |= {Denial.UNCHECKED: HTTPStatus.SERVICE_UNAVAILABLE}


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
        host, port = self._serving.host, self._serving.websocket_port
        try:
            return await serve(
                self._converse,
                host,
                port,
                process_request=self._examine,
                create_connection=Client,
                backlog=_BACKLOG,
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
        origin = request.headers.get("Origin")
        if origin is not None and not self._welcomes(origin):
            text = "pages of this site may not connect: MARKETSTREAM_WEBSOCKET__ORIGINS names those that may\n"
            return connection.respond(HTTPStatus.FORBIDDEN, text)
        credential = _credential(request.headers)
        try:
            _client(connection).principal = await self._service.admit(credential)
        except AccessDeniedError as error:
            if credential is None and error.denial is Denial.MISSING:
                return None  # a browser can send no header: it says who it is in its first message
            status = _STATUS.get(error.denial, HTTPStatus.UNAUTHORIZED)
            response = connection.respond(status, f"{error}\n")
            if status is HTTPStatus.UNAUTHORIZED:
                response.headers["WWW-Authenticate"] = "Bearer"
            return response
        return None

    def _welcomes(self, origin: str) -> bool:
        return bool(_OWN_PAGES.fullmatch(origin)) or origin in self._service.settings.origins

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
        for client in list(self._clients):
            principal = client.principal
            if principal is not None and principal.expires_us is not None and principal.expires_us <= now_us:
                client.finish(Close.CREDENTIAL_EXPIRED, "your credential has expired: come again with a new one")
        if now >= self._beat_due:
            self._beat_due = now + settings.heartbeat_seconds
            self._beat(now_us)
        self._hub.measure()

    def _beat(self, now_us: int) -> None:
        stream = "away" if self._stream_away() else "live"
        for client in self._clients:
            if client.session is not None and not client.blocked:
                client.tell(message("heartbeat", time_us=now_us, seq=client.session.seq, stream=stream))


def _client(connection: ServerConnection) -> Client:
    if not isinstance(connection, Client):
        raise TypeError("the server makes clients")
    return connection


def _credential(headers: Headers) -> str | None:
    bearer = headers.get("Authorization", "")
    scheme, _, token = bearer.partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("X-API-Key") or (bearer or None)
