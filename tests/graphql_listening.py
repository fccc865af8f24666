"""What the tests of GraphQL's subscriptions share: a real server over a stream in memory, and clients."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from graphql_asking import app_of, services_of
from marketstream.ports import Message
from marketstream.serving.access.access import Access
from marketstream.serving.graphql.live import LiveUpdates
from marketstream.serving.market_data import MarketData
from marketstream.settings import Settings, WebSocketSettings, load_settings
from marketstream.testing.platform import free_ports

PATIENCE_SECONDS = 30.0
PROTOCOL = "graphql-transport-ws"


@dataclass
class MemoryStream:
    """Stands where Kafka is read, and remembers whether it is."""

    since_ms: Mapping[str, int]
    take: Callable[[Sequence[Message]], None]
    away: bool = False
    open: bool = False

    def start(self) -> None:
        self.open = True

    def stop(self) -> None:
        self.open = False


@dataclass
class Serving:
    """A server in the test's own loop."""

    market_data: MarketData
    access: Access | None = None
    bounds: WebSocketSettings = field(default_factory=WebSocketSettings)
    graphql: dict[str, Any] = field(default_factory=dict)
    streams: list[MemoryStream] = field(default_factory=list)
    port: int = field(default_factory=lambda: free_ports(1)[0])

    def settings(self) -> Settings:
        settings = load_settings(symbols=["BTCUSDT", "IBM"], graphql=self.graphql)
        return settings.model_copy(update={"websocket": self.bounds})

    def _open(self, since_ms: Mapping[str, int], take: Callable[[Sequence[Message]], None]) -> MemoryStream:
        self.streams.append(MemoryStream(since_ms, take))
        return self.streams[-1]

    def live(self) -> LiveUpdates:
        return LiveUpdates(self.settings(), self.market_data, self._open)

    @property
    def stream(self) -> MemoryStream:
        return self.streams[-1]

    @asynccontextmanager
    async def running(self, live: LiveUpdates | None = None) -> AsyncIterator["Serving"]:
        self.updates = live or self.live()
        services = services_of(self.market_data, live=self.updates, bounds=self.bounds, **self.graphql)
        config = uvicorn.Config(
            app_of(services, self.access), port=self.port, log_level="warning", ws_per_message_deflate=False
        )
        server = uvicorn.Server(config)
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The system's own would hold megabytes for a client that does not read.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8_192)
        listener.bind(("127.0.0.1", self.port))
        serving = asyncio.create_task(server.serve([listener]))
        try:
            await until(lambda: server.started)
            yield self
        finally:
            server.should_exit = True
            await asyncio.wait_for(serving, PATIENCE_SECONDS)
            listener.close()


def small_socket(port: int) -> socket.socket:
    """A client's end that holds next to nothing unread."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    opened.connect(("127.0.0.1", port))
    opened.setblocking(False)
    return opened


async def until(condition: Callable[[], object]) -> None:
    """Returns once the condition holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.01)


@dataclass
class Subscriber:
    """A client as people write them."""

    socket: ClientConnection
    kept: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # of other operations than was waited for

    async def say(self, kind: str, **message: Any) -> None:
        await self.socket.send(orjson.dumps({"type": kind, **message}), text=True)

    async def hear(self, *kinds: str) -> dict[str, Any]:
        """The next message of these kinds; pings are answered."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                message: dict[str, Any] = orjson.loads(await self.socket.recv())
                if message["type"] == "ping" and "ping" not in kinds:
                    await self.say("pong")
                elif not kinds or message["type"] in kinds:
                    return message

    async def subscribe(self, query: str, key: str = "1", **variables: Any) -> None:
        await self.say("subscribe", id=key, payload={"query": query, "variables": variables})

    async def next(self, key: str = "1") -> Any:
        """The data of the next event."""
        message = await self._of(key)
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        (data,) = message["payload"]["data"].values()
        return data

    async def refused(self, key: str = "1") -> dict[str, Any]:
        """The error of an operation that is not done."""
        message = await self._of(key)
        error: dict[str, Any]
        (error, *_) = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
        return error

    async def _of(self, key: str) -> dict[str, Any]:
        waiting = self.kept.get(key)
        if waiting:
            return waiting.pop(0)
        while (message := await self.hear("next", "error", "complete"))["id"] != key:
            self.kept.setdefault(message["id"], []).append(message)
        return message

    async def ended(self) -> tuple[int | None, str | None]:
        """Waits until the server has ended the connection; its code and reason."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await self.socket.recv()
        return self.socket.close_code, self.socket.close_reason


@asynccontextmanager
async def subscriber(port: int, params: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Subscriber]:
    """A client that has been acknowledged, where `params` let it in; with `greeted=False` before that."""
    greeted = options.pop("greeted", True)
    address = f"ws://127.0.0.1:{port}/graphql"
    async with connect(address, subprotocols=[PROTOCOL], compression=None, **options) as socket:  # type: ignore[list-item]
        client = Subscriber(socket)
        if greeted:
            await client.say("connection_init", payload=params or {})
            await client.hear("connection_ack")
        yield client
