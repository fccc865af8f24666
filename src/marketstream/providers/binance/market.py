"""Binance's markets: where spot and futures differ, so that one adapter serves both."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from marketstream.domain.market import AssetClass
from marketstream.domain.symbols import PERPETUAL
from marketstream.ports import Capabilities, Channel
from marketstream.providers.binance.events import WIRE_INTERVALS
from marketstream.providers.binance.parse import NAME
from marketstream.providers.symbology import Naming
from marketstream.settings import Settings

CAPABILITIES = Capabilities(
    channels=frozenset({"trades", "quotes", "bars"}),
    asset_classes=frozenset({"crypto"}),
    numbered=True,
    past_trades=True,
    past_bars=True,
    last_trade=True,
)
# What follows a symbol and `@` in a stream's name.
STREAM_NAMES: Mapping[Channel, str] = {"trades": "aggTrade", "quotes": "bookTicker", "bars": "kline_1m"}
_SHORTEST_NAME = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class BinanceMarket:
    """One of Binance's markets.

    Attributes:
        name: The provider's name.
        naming: Its rule for symbols' names, by the platform's settings.
        routes: Which path below the WebSocket host carries a channel; on another one it stays silent.
        rest_path: Where its REST endpoints begin.
        trade_page_weight: Request weight of one page of aggregate trades.
        bar_page_weight: Request weight of one page of bars.
        intervals: Its names of bar intervals by ours.
        streams_per_connection: More are spread over connections.
        request_pause_seconds: Between two requests on a connection, so that those, our pings and our pongs together
            stay below the messages a second that it takes.
        window_ms: The longest span of time that one request for trades may name; None for any.
        trades_kept_ms: For how long its REST API has trades; None for ever.
    """

    name: str
    naming: Callable[[Settings], Naming]
    routes: Mapping[Channel, str]
    rest_path: str
    trade_page_weight: int
    bar_page_weight: int
    intervals: Mapping[str, str]
    streams_per_connection: int
    request_pause_seconds: float
    window_ms: int | None = None
    trades_kept_ms: int | None = None


def is_pair(symbol: str, asset_class: AssetClass) -> bool:
    """Whether a symbol may be a pair of coins: its name says so, or is too long for a share's and says nothing."""
    return asset_class == "crypto" or (asset_class == "equity" and len(symbol) >= _SHORTEST_NAME)


def _naming(_settings: Settings) -> Naming:
    return _wire_name


def _wire_name(symbol: str, asset_class: AssetClass) -> str | None:
    return symbol if is_pair(symbol, asset_class) and not symbol.endswith(PERPETUAL) else None


SPOT = BinanceMarket(
    name=NAME,
    naming=_naming,
    routes={"trades": "", "quotes": "", "bars": ""},
    rest_path="/api/v3",
    trade_page_weight=4,
    bar_page_weight=2,
    intervals={interval.name: wire for wire, interval in WIRE_INTERVALS.items()},
    streams_per_connection=1_024,
    request_pause_seconds=0.35,  # 5 a second
)
