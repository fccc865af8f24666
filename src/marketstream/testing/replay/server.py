"""The replay server: one port, every provider's protocol, chosen by the request's path."""

import asyncio
import logging
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Self, cast

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from marketstream.clock import SystemClock
from marketstream.domain.errors import LaunchError
from marketstream.observability.logs import get_logger
from marketstream.ports import Clock
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay import admin
from marketstream.testing.replay.addresses import ADMIN_PATH, Addresses
from marketstream.testing.replay.audience import Audience
from marketstream.testing.replay.connection import FaultyConnection
from marketstream.testing.replay.conversation import Answer
from marketstream.testing.replay.dialects import speaker
from marketstream.testing.replay.faults import FaultDesk, Faults
from marketstream.testing.replay.history import PlayedHistory
from marketstream.testing.replay.listener import Listener
from marketstream.testing.replay.player import Player
from marketstream.testing.replay.rest import RestFront
from marketstream.testing.replay.source import LIVE, Pace, Source

_OPEN_SECONDS = 120.0  # REST answers that are slow on purpose come within it
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


class ReplayServer(Addresses):
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
        desk: What goes wrong on purpose, for whom.
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
        super().__init__(host, port)
        self._options = options
        self._clock = clock or SystemClock()
        # A client that reads slowly can't answer pings in time; as fast as taken, it is waited for instead.
        self._pong_seconds = None if pace.speed is None else _PONG_SECONDS
        self._audience = Audience(options.settle_seconds)
        self.history = PlayedHistory()
        self.desk = FaultDesk(self._audience, self._clock, options.refused_keys)
        polled = asyncio.Event()
        self._rest = RestFront(self.history, self.desk, self._clock, polled, admin=options.admin)
        self._player = Player(source, pace, self._audience, self.history, self._clock, polled)
        self._servers: list[Server] = []
        self._commanders: set[ServerConnection] = set()
        self._restarting: asyncio.Task[None] | None = None
        self._playing: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        await self._listen()
        self._playing = asyncio.create_task(self._player.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.faults.announce_stop()
        for listener in self._audience:
            if listener.connection.half_open:
                listener.drop()
        tasks = [task for task in (self._restarting, self._playing) if task]
        try:
            for task in tasks:
                await _stop(task)
        finally:
            for commander in tuple(self._commanders):
                await commander.close(CloseCode.GOING_AWAY)
            for server in self._servers:
                server.close()
                await server.wait_closed()

    @property
    def faults(self) -> Faults:
        """What goes wrong for the clients of all providers."""
        return self.desk.everyones

    def faults_of(self, provider: str | None) -> Faults:
        """What goes wrong for one provider's clients alone, or for all.

        Raises:
            KeyError: No provider has this name.
        """
        return self.desk.of(provider)

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
        return self._audience.of(provider)

    def inject(self, frame: str | bytes, provider: str | None = None, *, text: bool = True) -> int:
        """Sends any frame, such as garbage, to all clients of a protocol at once; returns how many there were."""
        return self.faults_of(provider).inject(frame, text=text)

    def drop_connections(self, provider: str | None = None) -> int:
        """Breaks connections off without a closing handshake; returns how many there were."""
        return self.faults_of(provider).drop()

    def cancel(self, symbol: str, provider: str | None = None) -> MarketTrade | None:
        """Takes a symbol's newest trade back, where the protocol has a frame for it; it stays in the history.

        Returns:
            The trade; None where the symbol has not traded.
        """
        trade = self.history.last(symbol)
        if trade is not None:
            self.faults_of(provider).cancel(trade)
        return trade

    async def restart(self, seconds: float) -> None:
        """Breaks all connections off and listens again after so many seconds; at a pace the market goes on."""
        old = self._servers[-1]
        old.close(close_connections=False)
        self.faults.drop()
        while old.is_serving():  # noqa: ASYNC110  # until its own task has closed the sockets, which takes one turn
            await asyncio.sleep(0)
        with _held(self._host, self._port):
            _log.info("stopped listening", seconds=seconds)
            await asyncio.sleep(seconds)
            await self._listen()

    def begin_restart(self, seconds: float) -> None:
        """Restarts without waiting for it; one that is under way is not begun again."""
        if self._restarting is None or self._restarting.done():
            self._restarting = asyncio.create_task(self.restart(seconds))

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

    async def _listen(self) -> None:
        try:
            server = await serve(
                self._handle,
                self._host,
                self._port,
                process_request=self._rest.answer,
                create_connection=FaultyConnection,
                logger=_socket_log,
                compression=None,
                open_timeout=_OPEN_SECONDS,
                ping_interval=self._options.ping_seconds,
                ping_timeout=self._pong_seconds,
                close_timeout=_CLOSE_SECONDS,
            )
        except OSError as error:
            raise LaunchError(
                f"the replay server can't listen on {self._host}:{self._port}: {error.strerror}"
            ) from error
        self._servers.append(server)
        self._port = next(iter(server.sockets)).getsockname()[1]

    async def _handle(self, connection: ServerConnection) -> None:
        path = connection.request.path if connection.request else ""
        if self._options.admin and path == ADMIN_PATH:
            await self._obey(connection)
            return
        listener = self._listener(cast(FaultyConnection, connection), path)  # `serve` was told to make these
        self._audience.add(listener)
        _log.info("client connected", provider=listener.conversation.provider)
        try:
            await self._converse(listener)
        except ConnectionClosed as closed:
            _log.info("connection broke", provider=listener.conversation.provider, reason=str(closed))
        finally:
            self._audience.remove(listener)

    async def _obey(self, connection: ServerConnection) -> None:
        self._commanders.add(connection)
        try:
            with suppress(ConnectionClosed):
                await admin.serve_commands(connection, self)
        finally:
            self._commanders.discard(connection)

    def _listener(self, connection: FaultyConnection, path: str) -> Listener:
        dialect = speaker(path)
        provider = dialect.provider
        conversation = dialect.converse(path, self.desk.rules(provider))
        return Listener(
            connection, conversation, partial(self.desk.states, provider), self.desk.tallies[provider], self._clock
        )

    async def _converse(self, listener: Listener) -> None:
        connection, conversation = listener.connection, listener.conversation
        await _send(connection, conversation.greeting())
        quota = self.desk.states(conversation.provider).quota
        if quota:
            await _send(connection, conversation.refused(quota))
        async for request in connection:
            self.desk.rules(conversation.provider)  # brings what the conversation knows of it up to date
            await _send(connection, conversation.answer(request, time.monotonic()))
            self._audience.change()


async def _send(connection: ServerConnection, answer: Answer) -> None:
    for frame in answer.frames:
        await connection.send(frame, text=True)
    if answer.close:
        await connection.close(*answer.close)


@contextmanager
def _held(host: str, port: int) -> Iterator[None]:
    """Keeps a port from being given to anybody else while nothing listens on it."""
    family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, number) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(address)
        yield


async def _stop(player: asyncio.Task[None]) -> None:
    player.cancel()
    with suppress(asyncio.CancelledError):  # ours, from the line above; anything else is raised
        await player
