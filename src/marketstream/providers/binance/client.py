"""Binance spot over combined WebSocket streams: connect with the streams in the address, subscribe to the rest, read.

Pings are answered by the WebSocket library. A connection lives at most 24 hours; Binance's announcement of its end, or
the end itself, ends the stream, and the owner connects anew.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from marketstream.domain.errors import Fault
from marketstream.ports import Capabilities, Clock, Frame, History
from marketstream.providers.binance.config import BinanceConfig
from marketstream.providers.binance.parse import NAME, Reply, Shutdown, parse_frame, read_control
from marketstream.providers.history import NoHistory
from marketstream.providers.merge import merge
from marketstream.providers.states import StateListener, ignore_state
from marketstream.providers.websocket import FeedSocket
from marketstream.settings import ProviderSettings, Settings

CAPABILITIES = Capabilities(channels=frozenset({"trades"}), asset_classes=frozenset({"crypto"}), numbered=True)


class BinanceProvider:
    """Crypto pairs' aggregate trades.

    Args:
        config: Where, what and within which limits.
        clock: Stamps frames.
        on_state: Told of `connected` and `subscribed`, once for each connection.
    """

    def __init__(self, config: BinanceConfig, clock: Clock, on_state: StateListener = ignore_state) -> None:
        self._config = config
        self._clock = clock
        self._on_state = on_state
        self._history = NoHistory(NAME)

    @property
    def name(self) -> str:
        """`binance`."""
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        """What it can give."""
        return CAPABILITIES

    @property
    def symbols(self) -> tuple[str, ...]:
        """The configured symbols that it carries."""
        return self._config.names.symbols

    @property
    def history(self) -> History:
        """Its past."""
        return self._history

    async def stream(self) -> AsyncGenerator[Frame, None]:
        """Yields frames that hold a trade or a refusal until one connection ends; then all are closed.

        Raises:
            ProviderError: A connection or subscription was refused, or a connection broke.
            OSError: The network failed.
        """
        async with aclosing(merge([self._connection(streams) for streams in self._config.shards()])) as frames:
            async for frame in frames:
                yield frame

    async def _connection(self, streams: tuple[str, ...]) -> AsyncGenerator[Frame, None]:
        config = self._config
        first, rest = streams[: config.streams_per_request], streams[config.streams_per_request :]
        async with FeedSocket(config.address(first), self._clock) as socket:
            await self._on_state("connected", socket.address)
            requests = await self._subscribe(socket, rest)
            if not requests:
                await self._on_state("subscribed", f"{len(streams)} streams")
            async for frame in socket.frames(partial(parse_frame, names=self._config.names)):
                if frame.outcomes:
                    yield frame
                    continue
                match read_control(frame.raw):
                    case Shutdown():
                        return
                    case Reply(error=None):
                        requests -= 1
                        if requests == 0:
                            socket.expect_within(None)
                            await self._on_state("subscribed", f"{len(streams)} streams")
                    case Reply(error=str(error)):
                        raise socket.error(f"refused a request: {error}", Fault.UNSUPPORTED)

    async def _subscribe(self, socket: FeedSocket, streams: tuple[str, ...]) -> int:
        size = self._config.streams_per_request
        requests = 0
        for first in range(0, len(streams), size):
            requests += 1
            await socket.send({"method": "SUBSCRIBE", "params": streams[first : first + size], "id": requests})
            await asyncio.sleep(self._config.request_pause_seconds)
        if requests:
            socket.expect_within(self._config.handshake_seconds)
        return requests


def create(
    endpoint: ProviderSettings, settings: Settings, clock: Clock, on_state: StateListener = ignore_state
) -> BinanceProvider:
    """The adapter for these settings; opens nothing."""
    return BinanceProvider(BinanceConfig.of(endpoint, settings), clock, on_state)
