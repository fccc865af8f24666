"""The replay server: one port, every provider's protocol, chosen by the request's path."""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from marketstream.clock import SystemClock
from marketstream.domain.errors import LaunchError
from marketstream.observability.logs import get_logger
from marketstream.ports import Clock
from marketstream.providers.auto import REPLAY_PATHS
from marketstream.testing.replay import admin
from marketstream.testing.replay.audience import Audience, Listener
from marketstream.testing.replay.conversation import Answer
from marketstream.testing.replay.dialect import Rules
from marketstream.testing.replay.dialects import PROVIDERS, speaker
from marketstream.testing.replay.history import PlayedHistory
from marketstream.testing.replay.player import Faults, Player
from marketstream.testing.replay.rest import RestFront
from marketstream.testing.replay.source import LIVE, Pace, Source

ADMIN_PATH = "/admin"
_PONG_SECONDS = 60.0
_CLOSE_SECONDS = 1.0
_log = get_logger("replay")
_socket_log = logging.getLogger("marketstream.replay.sockets")
_socket_log.setLevel(logging.WARNING)  # every connection is logged by `_handle` already


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """Details of a replay server.

    Attributes:
        refused_keys: API keys that are no good; any other non-empty one is.
        ping_seconds: Between the server's pings; None for none.
        settle_seconds: How long subscriptions rest before the market starts, or goes on after nobody listened.
        admin: Whether `/admin` takes commands that inject faults.
    """

    refused_keys: Sequence[str] = ()
    ping_seconds: float | None = 20.0
    settle_seconds: float = 0.1
    admin: bool = False


class ReplayServer:
    """Serves a market over the providers' protocols; an async context manager that listens while entered.

    The market starts when the first client subscribes. At a pace, all clients hear the same market at the same moment,
    and one that connects again joins it live. As fast as taken (`Pace(None)`), the slowest client sets the pace,
    nothing is played while nobody listens, and a client that connects again goes on where the last one's stream
    stopped; what was on the wire when a connection broke is lost, as with the real providers.

    Args:
        source: The market.
        pace: How fast its clock runs.
        host: Address to listen on.
        port: Port; 0 for any free one.
        options: Details.
        clock: Wall clock.

    Attributes:
        faults: What goes wrong on purpose.
        history: What has been played, heard or not.
    """

    def __init__(
        self,
        source: Source,
        pace: Pace = LIVE,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        options: ReplayOptions = ReplayOptions(),
        clock: Clock | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._options = options
        self._clock = clock or SystemClock()
        # A client that reads slowly can't answer pings in time; as fast as taken, it is waited for instead.
        self._pong_seconds = None if pace.speed is None else _PONG_SECONDS
        self.faults = Faults()
        self._audience = Audience(options.settle_seconds)
        self.history = PlayedHistory()
        self._rules = {name: Rules(refused_keys=tuple(options.refused_keys)) for name in PROVIDERS}
        self._rest = RestFront(self.history, self._rules_of, self._clock)
        self._player = Player(source, pace, self._audience, self.faults, self.history, clock=self._clock)
        self._exit = AsyncExitStack()
        self._playing: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(await self._listen())
            self._port = next(iter(server.sockets)).getsockname()[1]
            self._playing = asyncio.create_task(self._player.run())
            stack.push_async_callback(_stop, self._playing)
            stack.push_async_callback(self._say_farewell)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    def endpoints(self) -> dict[str, tuple[str, str]]:
        """Each provider's WebSocket and REST base addresses; the former is empty where a provider has none."""
        stream = f"ws://{self._host}:{self._port}"
        return {
            provider: ("" if path is None else stream + path, self.url_rest) for provider, path in REPLAY_PATHS.items()
        }

    @property
    def url_rest(self) -> str:
        """Base address of every provider's REST API."""
        return f"http://{self._host}:{self._port}"

    @property
    def url_polygon(self) -> str:
        """The Polygon protocol's address."""
        return self.endpoints()["polygon"][0]

    @property
    def url_binance(self) -> str:
        """The Binance protocol's base address, to which `/ws` or `/stream` is added."""
        return self.endpoints()["binance"][0]

    @property
    def url_binance_usdm(self) -> str:
        """The Binance futures protocol's base address, to which `/market/ws` and the like are added."""
        return self.endpoints()["binance_usdm"][0]

    @property
    def url_finage(self) -> str:
        """The Finage protocol's address, to which the token is added."""
        return self.endpoints()["finage"][0]

    @property
    def url_fmp(self) -> str:
        """The Financial Modeling Prep protocol's address; `/crypto` and `/forex` below it are its other hosts."""
        return self.endpoints()["fmp"][0]

    @property
    def url_finazon(self) -> str:
        """The Finazon protocol's address, to which the key is added."""
        return self.endpoints()["finazon"][0]

    @property
    def url_admin(self) -> str:
        """Where faults are injected from another process, if allowed."""
        return f"ws://{self._host}:{self._port}{ADMIN_PATH}"

    @property
    def played(self) -> int:
        """Trades played so far, heard or not."""
        return self._player.played

    @property
    def ended(self) -> asyncio.Event:
        """Set when the last trade has been played."""
        return self._player.ended

    def listeners(self, provider: str | None = None) -> list[Listener]:
        """Connected clients, of one protocol or of all."""
        return [each for each in self._audience if provider in (None, each.conversation.provider)]

    def inject(self, frame: str | bytes, provider: str | None = None, *, text: bool = True) -> int:
        """Sends any frame, such as garbage, to all clients of a protocol at once; returns how many there were."""
        listeners = self.listeners(provider)
        for listener in listeners:
            listener.inject(frame, text=text)
        return len(listeners)

    def drop_connections(self, provider: str | None = None) -> int:
        """Breaks connections off without a closing handshake; returns how many there were."""
        listeners = self.listeners(provider)
        for listener in listeners:
            listener.drop()
        return len(listeners)

    async def run_until(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set; raises if the market breaks, so that no process serves silence unnoticed."""
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({stopped, self._playing}, return_when=asyncio.FIRST_COMPLETED)
            if self._playing.done():
                await self._playing
            await stopped
        finally:
            stopped.cancel()

    async def _listen(self) -> Server:
        try:
            return await serve(
                self._handle,
                self._host,
                self._port,
                process_request=self._rest.answer,
                logger=_socket_log,
                compression=None,
                ping_interval=self._options.ping_seconds,
                ping_timeout=self._pong_seconds,
                close_timeout=_CLOSE_SECONDS,
            )
        except OSError as error:
            raise LaunchError(
                f"the replay server can't listen on {self._host}:{self._port}: {error.strerror}"
            ) from error

    async def _handle(self, connection: ServerConnection) -> None:
        path = connection.request.path if connection.request else ""
        if self._options.admin and path == ADMIN_PATH:
            await admin.serve_commands(connection, self)
            return
        dialect = speaker(path)
        listener = Listener(connection, dialect.converse(path, self._rules_of(dialect.provider)))
        self._audience.add(listener)
        _log.info("client connected", provider=listener.conversation.provider)
        try:
            await self._converse(listener)
        except ConnectionClosed as closed:
            _log.info("connection broke", provider=listener.conversation.provider, reason=str(closed))
        finally:
            self._audience.remove(listener)

    def _rules_of(self, provider: str) -> Rules:
        rules = self._rules[provider]
        rules.refuse_all_keys = self.faults.refuse_auth
        return rules

    async def _converse(self, listener: Listener) -> None:
        connection, conversation = listener.connection, listener.conversation
        await _send(connection, conversation.greeting())
        async for request in connection:
            await _send(connection, conversation.answer(request, time.monotonic()))
            self._audience.change()

    async def _say_farewell(self) -> None:
        for listener in self._audience:
            for frame in listener.conversation.farewell(self._clock.now_us()):
                listener.inject(frame, text=True)


async def _send(connection: ServerConnection, answer: Answer) -> None:
    for frame in answer.frames:
        await connection.send(frame, text=True)
    if answer.close:
        await connection.close(*answer.close)


async def _stop(player: asyncio.Task[None]) -> None:
    player.cancel()
    with suppress(asyncio.CancelledError):  # ours, from the line above; anything else is raised
        await player
