"""The answers' shapes. Ticks, quotes, bars and indicators are the messages' own types: nothing is renamed or lost."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar, Quote, Tick
from marketstream.serving.filling import FilledBar
from marketstream.serving.merging import Source

TICK_EXAMPLE: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "price": 43210.55,
    "size": 0.0123,
    "event_time_us": 1_700_000_000_123_000,
    "received_time_us": 1_700_000_000_151_482,
    "provider": "binance",
    "trade_id": "3276518293",
    "sequence": 3276518293,
    "asset_class": "crypto",
    "exchange": "BINANCE",
    "side": "buy",
    "conditions": [],
}
QUOTE_EXAMPLE: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "bid_price": 43210.54,
    "bid_size": 1.2,
    "ask_price": 43210.55,
    "ask_size": 0.4,
    "event_time_us": 1_700_000_000_123_000,
    "received_time_us": 1_700_000_000_151_482,
    "provider": "binance",
    "sequence": 400900217,
    "asset_class": "crypto",
    "exchange": None,
}
BAR_EXAMPLE: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "interval": "1min",
    "start_us": 1_699_999_980_000_000,
    "end_us": 1_700_000_040_000_000,
    "open": 43201.5,
    "high": 43215.0,
    "low": 43198.25,
    "close": 43210.55,
    "volume": 12.8734,
    "vwap": 43207.81923,
    "trade_count": 412,
    "last_event_time_us": 1_700_000_000_123_000,
    "last_received_time_us": 1_700_000_000_151_482,
    "final": False,
    "revision": 0,
    "provider": None,
    "cancelled": 0,
}
INDICATORS_EXAMPLE: dict[str, Any] = {
    **{name: BAR_EXAMPLE[name] for name in Indicators.__slots__ if name in BAR_EXAMPLE},
    "values": {"sma_20": 43188.2175, "ema_12": 43192.8841, "rsi_14": 58.31, "macd": 12.4407, "atr_14": 18.75},
}
_ORIGIN_EXAMPLE: dict[str, Any] = {
    "source": "both",
    "stale": False,
    "degraded": False,
    "received_us": 1_700_000_000_151_482,
}


NEXT = Field(description="Address of the next page, relative to this server; null after the last")


class Origin(BaseModel):
    """Where an answer came from and how fresh it is."""

    model_config = ConfigDict(frozen=True)

    source: Source = Field(description="The store or stores that contributed")
    stale: bool = Field(
        description="The newest datum was received longer ago than serving.stale_after_seconds, or none is there"
    )
    degraded: bool = Field(description="A store that belonged in the answer was away, so it may lack something")
    received_us: int | None = Field(description="When the newest datum was received; null if there is none")


class LatestAnswer(Origin):
    """The newest tick of a symbol."""

    model_config = ConfigDict(
        json_schema_extra={"example": {**_ORIGIN_EXAMPLE, "source": "cache", "symbol": "BTCUSDT", "tick": TICK_EXAMPLE}}
    )

    symbol: str
    tick: Tick


class QuoteAnswer(Origin):
    """The newest quote of a symbol."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {**_ORIGIN_EXAMPLE, "source": "cache", "symbol": "BTCUSDT", "quote": QUOTE_EXAMPLE}
        }
    )

    symbol: str
    quote: Quote


class TradeKey(BaseModel):
    """Names one of an answer's trades."""

    model_config = ConfigDict(frozen=True)

    provider: str
    trade_id: str


class TicksAnswer(Origin):
    """Ticks of a symbol, oldest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **_ORIGIN_EXAMPLE,
                "source": "database",
                "symbol": "BTCUSDT",
                "count": 1,
                "next": None,
                "ticks": [TICK_EXAMPLE],
                "cancelled": [],
            }
        }
    )

    symbol: str
    count: int
    next: str | None = NEXT
    ticks: list[Tick]
    cancelled: list[TradeKey] | None = Field(
        description="Those of the ticks that were taken back, and are in no bar; null while the database is away"
    )


class BarsAnswer(Origin):
    """Bars of a symbol and window, oldest first; the last may still change (`final` false).

    Each is made here of trades, or by a `provider`, where no trade of it came; then `vwap` may be null. With
    `fill=previous` each also says whether it is `filled`: a window without a bar, at the close before it.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **_ORIGIN_EXAMPLE,
                "symbol": "BTCUSDT",
                "window": "1min",
                "count": 1,
                "next": None,
                "bars": [BAR_EXAMPLE],
            }
        }
    )

    symbol: str
    window: str
    count: int
    next: str | None = NEXT
    bars: list[Bar | FilledBar]


class IndicatorsAnswer(Origin):
    """Technical indicators of a symbol and window, by bar, oldest first; the last may still change (`final` false).

    `values` lacks a name until the indicator has enough bars, or where it is undefined.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **_ORIGIN_EXAMPLE,
                "symbol": "BTCUSDT",
                "window": "1min",
                "count": 1,
                "next": None,
                "indicators": [INDICATORS_EXAMPLE],
            }
        }
    )

    symbol: str
    window: str
    count: int
    next: str | None = NEXT
    indicators: list[Indicators]


class SymbolsAnswer(BaseModel):
    """Known symbols, sorted, and the windows bars come in."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"count": 1, "next": None, "symbols": ["BTCUSDT"], "windows": ["1min", "5min", "15min"]}
        }
    )

    count: int
    next: str | None = NEXT
    symbols: list[str]
    windows: list[str]
