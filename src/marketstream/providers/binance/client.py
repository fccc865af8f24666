"""Binance over combined WebSocket streams: connect with the streams in the address, subscribe to the rest, read.

Pings are answered by the WebSocket library. A connection lives at most 24 hours: it is replaced before, and at once
when Binance announces that it closes it, by one that delivers before the old one goes.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from itertools import count

from marketstream.contracts.messages import FeedEventKind
from marketstream.domain.outcomes import Parsed
from marketstream.ports import Clock, Frame, History
from marketstream.providers.binance.config import BinanceConfig, Shard
from marketstream.providers.binance.history import BinanceHistory
from marketstream.providers.binance.market import CAPABILITIES
from marketstream.providers.binance.parse import Reply, Shutdown, parse_frame, read_control
from marketstream.providers.binance.refusals import subscription_fault
from marketstream.providers.merge import merge
from marketstream.providers.rotation import EXPIRING, Expiring, rotated
from marketstream.providers.states import StateListener, ignore_state
from marketstream.providers.websocket import FeedSocket
from marketstream.settings import ProviderSettings, Settings


class BinanceProvider:
    """Crypto pairs' aggregate trades, best bids and asks, and bars of one minute; of spot, or of what is configured.

    Args:
        config: Where, what and within which limits.
        clock: Stamps frames.
        on_state: Told of `connected` and `subscribed` for each connection, and of `rotated` for one that replaces
            another.
    """

    def __init__(self, config: BinanceConfig, clock: Clock, on_state: StateListener = ignore_state) -> None:
        self.name = config.market.name
        self.capabilities = CAPABILITIES
        self.symbols = config.names.symbols
        self._config = config
        self._clock = clock
        self._on_state = on_state
        self.history: History = BinanceHistory(config, clock)

    async def stream(self) -> AsyncGenerator[Frame, None]:
        """Yields frames that hold a value or a refusal until a connection ends unannounced; then all are closed.

        Raises:
            ProviderError: A connection or subscription was refused, or a connection broke.
            OSError: The network failed.
        """
        async with aclosing(merge([self._lasting(shard) for shard in self._config.shards()])) as frames:
            async for frame in frames:
                yield frame

    def _lasting(self, shard: Shard) -> AsyncGenerator[Frame, None]:
        """One connection after the other."""
        numbers = count()
        return rotated(
            lambda: self._connection(shard, replaces=next(numbers) > 0),
            after_seconds=self._config.rotate_seconds,
            overlap_seconds=self._config.overlap_seconds,
        )

    async def _connection(self, shard: Shard, *, replaces: bool) -> AsyncGenerator[Frame | Expiring, None]:
        async with FeedSocket(self._config.address(shard), self._clock) as socket:
            if not replaces:
                await self._on_state("connected", socket.address)
            requests = await self._subscribe(socket, shard.streams[self._config.streams_per_request :])
            subscribed: FeedEventKind = "rotated" if replaces else "subscribed"
            if not requests:
                await self._on_state(subscribed, f"{len(shard.streams)} streams")
            async for frame in socket.frames(self._parser()):
                if frame.outcomes:
                    yield frame
                    continue
                match read_control(frame.raw):
                    case Shutdown():
                        yield EXPIRING
                    case Reply(error=None):
                        requests -= 1
                        if requests == 0:
                            socket.expect_within(None)
                            await self._on_state(subscribed, f"{len(shard.streams)} streams")
                    case Reply(error=str(error)):
                        raise socket.error(f"refused a request: {error}", subscription_fault(error))

    def _parser(self) -> "partial[list[Parsed]]":
        return partial(parse_frame, names=self._config.names, provider=self.name)

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
    """Spot's adapter for these settings; opens nothing."""
    return BinanceProvider(BinanceConfig.of(endpoint, settings), clock, on_state)
