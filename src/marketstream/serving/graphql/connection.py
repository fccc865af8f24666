"""One GraphQL WebSocket as the library wants it: JSON in, JSON out, and nobody waits for a reader for long."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any, cast

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from strawberry.http.async_base_view import AsyncBaseHTTPView, AsyncWebSocketAdapter
from strawberry.http.exceptions import NonJsonMessageReceived, WebSocketDisconnected

from marketstream.observability import metrics
from marketstream.serving.websocket.limits import MessageLimit
from marketstream.serving.websocket.protocol import CLOSE_CODES, Close
from marketstream.settings import WebSocketSettings

_CLOSE_SECONDS = 1.0  # for a close frame, to somebody who may not read


class Connection(AsyncWebSocketAdapter):
    """One socket: what goes out waits for its reader only so long.

    Args:
        websocket: The socket.
        bounds: How long, and how often a client may speak.
    """

    def __init__(self, websocket: WebSocket, bounds: WebSocketSettings) -> None:
        super().__init__(cast("AsyncBaseHTTPView[Any, Any, Any, Any, Any, Any, Any]", None))  # it is asked for nothing
        loop = asyncio.get_running_loop()
        self.limit = MessageLimit(bounds, loop.time)
        self.ended: asyncio.Future[tuple[int, str]] = loop.create_future()
        self._websocket = websocket
        self._patience = bounds.shed_after_seconds

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:
        """The client's messages."""
        while self._websocket.application_state is not WebSocketState.DISCONNECTED:
            try:
                text = await self._websocket.receive_text()
                yield orjson.loads(text)
            except (orjson.JSONDecodeError, KeyError):
                if not ignore_parsing_errors:
                    raise NonJsonMessageReceived from None
            except WebSocketDisconnect:
                return

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Sends a message; a client that does not take it in time is given up."""
        try:
            async with asyncio.timeout(self._patience):
                await self._websocket.send_text(orjson.dumps(message, option=orjson.OPT_NON_STR_KEYS).decode())
        except TimeoutError:
            self.finish(Close.SLOW_CONSUMER)
            raise WebSocketDisconnected from None
        except (WebSocketDisconnect, RuntimeError) as error:  # the latter of what is sent after good-bye
            raise WebSocketDisconnected from error

    async def close(self, code: int, reason: str) -> None:
        """Says good-bye, once."""
        if self._websocket.application_state is WebSocketState.CONNECTED:
            with suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._websocket.close(code, reason.encode()[:120].decode(errors="ignore"))

    def finish(self, why: Close) -> None:
        """Ends the connection soon, whatever it waits for."""
        if not self.ended.done():
            metrics.WEBSOCKET_ENDED.labels(why).inc()
            self.ended.set_result((CLOSE_CODES[why], why))
