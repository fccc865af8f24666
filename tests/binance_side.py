"""Binance's two markets, for tests of both: their adapters' settings, markets to play, and what was heard."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from marketstream.domain.market import Tick
from marketstream.ports import Clock, Frame
from marketstream.providers.binance.client import BinanceProvider
from marketstream.providers.binance.config import BinanceConfig
from marketstream.providers.binance.market import SPOT, BinanceMarket
from marketstream.providers.binance_usdm.config import USDM
from marketstream.settings import BinanceSettings, ChannelName, load_settings
from marketstream.testing.exactness import exactness_trades
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay import FileSource, Pace, ReplayOptions, ReplayServer
from marketstream.testing.trades import RecordedTrades

START_US = 1_704_205_800_000_000
AS_TAKEN = Pace(None)
LIVE = Pace(1.0)
_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class Side:
    """One market and the symbols its tests trade."""

    market: BinanceMarket
    symbols: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.market.name

    def address(self, server: ReplayServer) -> str:
        return server.url_binance if self.market is SPOT else server.url_binance_usdm

    def config(self, server: ReplayServer, channels: Sequence[ChannelName] = ("trades",), **own: Any) -> BinanceConfig:
        symbols = own.pop("symbols", self.symbols)
        settings = load_settings(providers=[self.name], symbols=list(symbols), ingest={"channels": list(channels)})
        defaults = {"websocket_url": self.address(server), "rest_url": server.url_rest, "weight_per_minute": 100_000}
        return BinanceConfig.of(BinanceSettings.model_validate(defaults | own), settings, self.market)

    def exact(self, count: int = 1_500) -> list[MarketTrade]:
        """Trades that are hard to make exact bars of, in the order they are played."""
        recorded = RecordedTrades.of(exactness_trades(count, self.symbols, hours=0.5))
        return [trade for chunk in recorded.chunks() for trade in chunk]

    def regular(self, count: int, step_us: int = 1_000) -> list[MarketTrade]:
        """The first symbol's trades, numbered from 1, at regular times."""
        return [
            MarketTrade(self.symbols[0], 100.0, 1.0, START_US + number * step_us, "X", "buy", str(number), number)
            for number in range(1, count + 1)
        ]


SPOT_SIDE = Side(SPOT, ("BTCUSDT", "ETHUSDT", "RUNEEUR"))
USDM_SIDE = Side(USDM, ("BTCUSDT-PERP", "ETHUSDT-PERP", "SOLUSDT-PERP"))
SIDES = {side.name: side for side in (SPOT_SIDE, USDM_SIDE)}


@asynccontextmanager
async def playing(
    trades: Sequence[MarketTrade], pace: Pace = AS_TAKEN, clock: Clock | None = None
) -> AsyncGenerator[ReplayServer, None]:
    """A server that plays these trades, once all connections had time to subscribe."""
    source = FileSource(RecordedTrades.of(trades))
    async with ReplayServer(source, pace, options=ReplayOptions(settle_seconds=0.05), clock=clock) as server:
        yield server


async def hear(
    provider: BinanceProvider, enough: Callable[[list[Any]], object], each: Callable[[list[Any]], object] | None = None
) -> list[Any]:
    """What was heard until it is enough; `each` is called after each frame."""
    outcomes: list[Any] = []
    async with aclosing(provider.stream()) as frames, asyncio.timeout(30):
        async for frame in frames:
            outcomes += frame.outcomes
            if each is not None:
                each(outcomes)
            if enough(outcomes):
                break
    return outcomes


async def gather(pages: AsyncGenerator[Frame, None]) -> tuple[int, list[Any]]:
    """How many pages there were, and what was in them."""
    frames = [frame async for frame in pages]
    return len(frames), [outcome for frame in frames for outcome in frame.outcomes]


def of(kind: type[_Kind], outcomes: Iterable[object]) -> list[_Kind]:
    """Those of one kind."""
    return [outcome for outcome in outcomes if isinstance(outcome, kind)]


def played(trade: MarketTrade) -> tuple[Any, ...]:
    """What a tick of this trade must say."""
    return (trade.symbol, trade.sequence, trade.price, trade.size, trade.event_time_us, trade.side or "buy")


def said(tick: Tick) -> tuple[Any, ...]:
    """What a tick says."""
    assert tick.trade_id == str(tick.sequence)
    assert (tick.exchange, tick.asset_class) == (tick.provider, "crypto")
    return (tick.symbol, tick.sequence, tick.price, tick.size, tick.event_time_us, tick.side)
