"""What the WebSocket's tests share: a server of its own in the test's loop, clients, and messages to feed it with."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from doors import Door
from marketstream.clock import SystemClock
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.ports import Clock, Message
from marketstream.serving.access.access import Access
from marketstream.serving.market_data import MarketData
from marketstream.serving.websocket.hub import Hub
from marketstream.serving.websocket.protocol import Close
from marketstream.serving.websocket.server import WebSocketServer
from marketstream.serving.websocket.service import Service
from marketstream.serving.websocket.snapshots import Loader
from marketstream.serving.websocket.updates import Decoder
from marketstream.settings import ServingSettings, WebSocketSettings
from marketstream.testing.fake_readers import InMemoryMarketReader
from marketstream.testing.platform import free_ports
from stores import Log

INTERVALS = (Interval.parse("1min"), Interval.parse("5min"))
SINCE_US = 1_700_000_040_000_000  # a whole minute, where the stream begins
LATE_US = 10_000_000
_PATIENCE_SECONDS = 20.0


def make_tick(symbol: str, number: int, *, event_us: int | None = None, **changed: Any) -> Tick:
    """The symbol's trade with this number, a millisecond after the one before; below 0, before the stream began."""
    at_us = SINCE_US + number * 1_000
    fields = {
        "symbol": symbol,
        "price": 100.0 + number % 50,
        "size": 1.0,
        "event_time_us": at_us if event_us is None else event_us,
        "received_time_us": at_us,
        "provider": "sample",
        "trade_id": str(number),
        "sequence": max(0, number),
    }
    return Tick(**(fields | changed))


def make_bar(symbol: str, start: int, trades: int, **changed: Any) -> Bar:
    """A bar of the minute so many after the stream began, with so many trades."""
    start_us = SINCE_US + start * 60_000_000
    fields = {
        "symbol": symbol,
        "interval": "1min",
        "start_us": start_us,
        "end_us": start_us + 60_000_000,
        "open": 100.0,
        "high": 100.0 + trades,
        "low": 99.0,
        "close": 100.0,
        "volume": float(trades),
        "vwap": 100.0,
        "trade_count": trades,
        "last_event_time_us": start_us + trades,
        "last_received_time_us": start_us + trades,
    }
    return Bar(**(fields | changed))


@dataclass
class World:
    """A hub over stores in memory, and the service around it."""

    settings: WebSocketSettings = field(default_factory=WebSocketSettings)
    access: Access = field(default_factory=lambda: Door().access("websocket", required=False))
    serving_settings: ServingSettings = field(default_factory=ServingSettings)
    clock: Clock = field(default_factory=SystemClock)
    symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT", "XRPUSDT")
    cache: InMemoryMarketReader = field(default_factory=InMemoryMarketReader)
    history: InMemoryMarketReader = field(default_factory=InMemoryMarketReader)
    away: bool = False

    def __post_init__(self) -> None:
        self.log = Log()
        self.decoder = Decoder(INTERVALS)
        self.hub = Hub(self.settings, self.decoder, self.clock, since_us=SINCE_US, late_us=LATE_US)
        self.hub.symbols.update(self.symbols)
        market_data = MarketData(
            self.cache, self.history, symbols=self.symbols, intervals=INTERVALS, stale_after_seconds=30.0
        )
        self.loader = Loader(market_data, self.decoder, self.hub)
        self.service = Service(self.settings, self.hub, self.loader, self.access, self.clock)
        self.port = free_ports(1)[0]

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def store(self, *items: Any) -> None:
        """Puts items into both stores."""
        self.cache.add(*items)
        self.history.add(*items)

    def feed(self, *items: Any) -> None:
        """Lets the hub take items as the topics bring them."""
        self.hub.take(self.log.add(*items))

    def feed_event(self, topic: str, key: str, **content: Any) -> None:
        """Lets the hub take an event."""
        self.hub.take([Message(topic, 0, 0, key, orjson.dumps(content), 0)])

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["World"]:
        """Listens while the block runs."""
        serving = self.serving_settings.model_copy(update={"websocket_port": self.port})
        server = WebSocketServer(self.service, self.hub, serving, lambda: self.away)
        stop = asyncio.Event()
        task = asyncio.create_task(server.run(stop))
        try:
            await self._reachable(task)
            yield self
        finally:
            stop.set()
            await asyncio.wait_for(task, _PATIENCE_SECONDS)
            self.loader.close()
            self.access.close()

    async def until(self, condition: Callable[["World"], object]) -> None:
        """Returns once the condition holds."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not condition(self):  # noqa: ASYNC110  # what is waited for is the server's state, which has no event
                await asyncio.sleep(0.01)

    async def _reachable(self, task: "asyncio.Task[None]") -> None:
        while not task.done():
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.01)
        task.result()


@dataclass
class Listener:
    """A client as people write them."""

    socket: ClientConnection
    welcome: dict[str, Any] = field(default_factory=dict)

    async def say(self, **message: Any) -> None:
        await self.socket.send(orjson.dumps(message), text=True)

    async def hear(self, *kinds: str) -> dict[str, Any]:
        """The next message, or the next of these kinds; what comes between is passed over."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while True:
                message: dict[str, Any] = orjson.loads(await self.socket.recv())
                if not kinds or message["type"] in kinds:
                    return message

    async def ask(self, **message: Any) -> dict[str, Any]:
        """Says something and hears the next answer; heartbeats are passed over."""
        await self.say(**message)
        while (answer := await self.hear())["type"] == "heartbeat":
            pass
        return answer

    async def subscribe(self, *symbols: str, **more: Any) -> list[dict[str, Any]]:
        """Subscribes; returns the snapshot's updates."""
        answer = await self.ask(type="subscribe", symbols=list(symbols), **more)
        assert answer["type"] == "subscribed", answer
        updates: list[dict[str, Any]] = []
        while True:
            part = await self.hear("snapshot")
            updates += part["updates"]
            if part["last"]:
                return updates

    async def updates(self, count: int) -> list[dict[str, Any]]:
        """The next updates, at least so many."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            found += (await self.hear("updates"))["updates"]
        return found

    async def ended(self) -> tuple[int | None, str | None]:
        """Waits until the server has ended the connection; its code and reason."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await self.socket.recv()
        return self.socket.close_code, self.socket.close_reason


@asynccontextmanager
async def listening(url: str, **options: Any) -> AsyncIterator[Listener]:
    """A client that has been greeted, where the server greets it at once."""
    async with connect(url, **options) as socket:
        listener = Listener(socket)
        listener.welcome = await listener.hear()
        yield listener


class FakeLink:
    """A connection in memory: keeps what it is told, and can stop reading."""

    def __init__(self) -> None:
        self.blocked = False
        self.heard: list[dict[str, Any]] = []
        self.finished: Close | None = None

    def tell(self, payload: bytes) -> None:
        self.heard.append(orjson.loads(payload))

    def finish(self, why: Close, text: str, **details: object) -> None:
        del text, details
        self.finished = why
