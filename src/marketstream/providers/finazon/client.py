"""Finazon over its WebSocket: the key is in the address; subscribe, send heartbeats, read bars as they grow."""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

from marketstream.domain.errors import Fault
from marketstream.ports import Capabilities, Clock, Frame, History
from marketstream.providers.finazon.closing import BarCloser
from marketstream.providers.finazon.config import FinazonConfig
from marketstream.providers.finazon.history import FinazonHistory
from marketstream.providers.finazon.parse import (
    NAME,
    Failure,
    RefusedTicker,
    Subscribed,
    parse_frame,
    read_control,
)
from marketstream.providers.limits import RateLimit
from marketstream.providers.states import StateListener, ignore_state
from marketstream.providers.websocket import FeedSocket
from marketstream.settings import ProviderSettings, Settings

_ADVICE = {
    Fault.BAD_KEY: "; check MARKETSTREAM_FINAZON__API_KEY",
    Fault.PLAN: "; check that the plan covers MARKETSTREAM_FINAZON__DATASET",
}


class FinazonProvider:
    """One dataset's bars.

    Args:
        config: Where, what and within which limits.
        clock: Stamps frames.
        on_state: Told of `connected`, `subscribed` and every `refused_symbol`.
    """

    def __init__(self, config: FinazonConfig, clock: Clock, on_state: StateListener = ignore_state) -> None:
        self.name = NAME
        self.symbols = config.names.symbols
        self._config = config
        self._clock = clock
        self._on_state = on_state
        self.history: History = FinazonHistory(config, clock)
        self.capabilities = Capabilities(
            channels=frozenset({"bars"}), asset_classes=config.asset_classes, past_bars=True, last_trade=True
        )

    async def stream(self) -> AsyncGenerator[Frame, None]:
        """Yields frames that hold or close a bar, or hold a refusal, until the connection ends.

        Raises:
            ProviderError: The key, the dataset or every symbol was refused, or the connection broke.
            OSError: The network failed.
        """
        config = self._config
        async with FeedSocket(config.socket, self._clock) as socket:
            await self._on_state("connected", socket.address)
            socket.expect_within(config.handshake_seconds)
            subscription, closer = _Subscription(config, socket, self._on_state), BarCloser()
            talking = asyncio.create_task(self._talk(socket))
            try:
                async for frame in socket.frames(partial(parse_frame, names=config.names)):
                    if not frame.outcomes:
                        await subscription.take(frame.raw)
                    outcomes = closer.follow(frame.outcomes, frame.received_time_us)
                    if outcomes:
                        yield Frame(frame.raw, frame.received_time_us, outcomes)
            finally:
                talking.cancel()
                await asyncio.gather(talking, return_exceptions=True)

    async def _talk(self, socket: FeedSocket) -> None:
        """Subscribes, then sends heartbeats. What ends the connection is told by reading it."""
        config = self._config
        limit = RateLimit(config.messages_per_minute, config.messages_burst)
        for request in config.requests():
            await limit.take()
            await socket.send(request)
        while True:
            await asyncio.sleep(config.heartbeat_seconds)
            await limit.take()
            await socket.send({"event": "heartbeat"})


class _Subscription:
    """What has become of the subscription, from the answers to its requests."""

    def __init__(self, config: FinazonConfig, socket: FeedSocket, on_state: StateListener) -> None:
        self._config = config
        self._socket = socket
        self._on_state = on_state
        self._granted = False
        self._refused: set[str] = set()

    async def take(self, raw: bytes) -> None:
        """Takes a frame that holds no bar; raises what ends the conversation."""
        match read_control(raw):
            case Subscribed() if not self._granted:
                self._granted = True
                self._socket.expect_within(None)
                await self._on_state("subscribed", f"{len(self._config.names.symbols)} symbols")
            case RefusedTicker(ticker, message):
                await self._refuse(ticker, message)
            case Failure(fault, message):
                raise self._socket.error(f"{message}{_ADVICE.get(fault, '')}", fault)

    async def _refuse(self, ticker: str, message: str) -> None:
        symbol = self._config.names.canonical(ticker)
        self._refused.add(symbol)
        self._socket.expect_within(None)
        await self._on_state("refused_symbol", f"{symbol}: {self._socket.clean(message)}")
        if self._refused.issuperset(self._config.names.symbols):
            raise self._socket.error("none of the symbols is carried", Fault.UNKNOWN_SYMBOL)


def create(
    endpoint: ProviderSettings, settings: Settings, clock: Clock, on_state: StateListener = ignore_state
) -> FinazonProvider:
    """The adapter for these settings; opens nothing."""
    return FinazonProvider(FinazonConfig.of(endpoint, settings), clock, on_state)
