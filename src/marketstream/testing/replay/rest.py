"""Plain HTTP on the replay server's port: `/health`, `/played`, and the providers' REST APIs."""

import asyncio
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from marketstream.ports import Clock
from marketstream.providers.auto import REPLAY_PATHS
from marketstream.testing.replay.addresses import ADMIN_PATH
from marketstream.testing.replay.dialect import RestReply, RestRequest
from marketstream.testing.replay.dialects import server_of, speaker
from marketstream.testing.replay.faults import FaultDesk
from marketstream.testing.replay.history import PlayedHistory

HEALTH_PATH = "/health"
PLAYED_PATH = "/played/"
PLAYED_LIMIT = 100_000
_NOT_FOUND = RestReply(b'{"error":"no provider has this path"}', HTTPStatus.NOT_FOUND)


class RestFront:
    """Answers GET requests that are no WebSocket handshakes, and refuses handshakes while told to.

    Args:
        history: What has been played.
        desk: What goes wrong.
        clock: Wall clock.
        polled: Set when somebody asks a provider that has no stream, and so listens as well as can be.
        admin: Whether `/played` is answered.
    """

    def __init__(
        self, history: PlayedHistory, desk: FaultDesk, clock: Clock, polled: asyncio.Event, *, admin: bool
    ) -> None:
        self._polled = polled
        self._history = history
        self._desk = desk
        self._clock = clock
        self._admin = admin

    async def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The response; None where the request is a WebSocket handshake that may go on."""
        if request.path == HEALTH_PATH:
            return connection.respond(HTTPStatus.OK, "ok\n")
        if request.headers.get_all("Upgrade"):
            return self._refusal(connection, request.path)
        if request.method != "GET":
            return _response(RestReply(b"", HTTPStatus.METHOD_NOT_ALLOWED))
        return _response(await self._reply(connection, request))

    def _refusal(self, connection: ServerConnection, path: str) -> Response | None:
        if (path == ADMIN_PATH and self._admin) or not self._desk.states(speaker(path).provider).refuse_connections:
            return None
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "no connections at present\n")

    async def _reply(self, connection: ServerConnection, request: Request) -> RestReply:
        address = urlsplit(request.path)
        asked = RestRequest(
            path=address.path,
            query=dict(parse_qsl(address.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in request.headers.raw_items()},
            now_us=self._clock.now_us(),
        )
        if self._admin and address.path.startswith(PLAYED_PATH):
            return _played(asked, self._history)
        dialect = server_of(address.path)
        if dialect is None:
            return _NOT_FOUND
        if REPLAY_PATHS[dialect.provider] is None:
            self._polled.set()
        if (delay := self._desk.states(dialect.provider).rest_delay_seconds) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await connection.wait_closed()  # who left isn't waited for
        if self._desk.states(dialect.provider).rest_away:
            return RestReply(b'{"error":"away"}', HTTPStatus.SERVICE_UNAVAILABLE)
        return dialect.reply(asked, self._history, self._desk.rules(dialect.provider))


def _played(asked: RestRequest, history: PlayedHistory) -> RestReply:
    """A page of the sequences played of a symbol, from `from` on; `next` is where the next page begins."""
    symbol = unquote(asked.path.removeprefix(PLAYED_PATH))
    try:
        first, limit = int(asked.query.get("from", 0)), int(asked.query.get("limit", PLAYED_LIMIT))
    except ValueError:
        return RestReply(b'{"error":"from and limit are integers"}', HTTPStatus.BAD_REQUEST)
    sequences = [trade.sequence for trade in history.numbered_from(symbol, first, min(max(limit, 1), PLAYED_LIMIT))]
    following = sequences[-1] + 1 if sequences else None
    return RestReply(orjson.dumps({"symbol": symbol, "sequences": sequences, "next": following}))


def _response(reply: RestReply) -> Response:
    headers = Headers({"Content-Type": "application/json", "Connection": "close"})
    for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
        headers.pop(name, None)
        headers[name] = value
    return Response(reply.status.value, reply.status.phrase, headers, reply.body)
