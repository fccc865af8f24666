"""Plain HTTP on the replay server's port: `/health`, `/played`, and the providers' REST APIs."""

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from marketstream.ports import Clock
from marketstream.testing.replay.dialect import RestReply, RestRequest, Rules
from marketstream.testing.replay.dialects import server_of
from marketstream.testing.replay.history import PlayedHistory

HEALTH_PATH = "/health"
_NOT_FOUND = RestReply(b'{"error":"no provider has this path"}', HTTPStatus.NOT_FOUND)


class RestFront:
    """Answers GET requests that are no WebSocket handshakes.

    Args:
        history: What has been played.
        rules: Who is let in, by provider.
        clock: Wall clock.
    """

    def __init__(self, history: PlayedHistory, rules: Callable[[str], Rules], clock: Clock) -> None:
        self._history = history
        self._rules = rules
        self._clock = clock

    async def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The response; None where the request is a WebSocket handshake."""
        if request.path == HEALTH_PATH:
            return connection.respond(HTTPStatus.OK, "ok\n")
        if request.headers.get_all("Upgrade"):
            return None
        if request.method != "GET":
            return _response(RestReply(b"", HTTPStatus.METHOD_NOT_ALLOWED))
        return _response(await self._reply(request))

    async def _reply(self, request: Request) -> RestReply:
        address = urlsplit(request.path)
        dialect = server_of(address.path)
        if dialect is None:
            return _NOT_FOUND
        asked = RestRequest(
            path=address.path,
            query=dict(parse_qsl(address.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in request.headers.raw_items()},
            now_us=self._clock.now_us(),
        )
        return dialect.reply(asked, self._history, self._rules(dialect.provider))


def _response(reply: RestReply) -> Response:
    headers = Headers({"Content-Type": "application/json", "Connection": "close"})
    for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
        headers.pop(name, None)
        headers[name] = value
    return Response(reply.status.value, reply.status.phrase, headers, reply.body)
