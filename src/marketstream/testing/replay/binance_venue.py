"""Binance's markets as the replay server plays them: limits, weights, and played trades as events of the wire."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from marketstream.domain.symbols import PERPETUAL
from marketstream.testing.market_trade import MarketTrade
from marketstream.testing.replay.history import PlayedBar, PlayedHistory
from marketstream.testing.replay.numbers import decimal_text
from marketstream.testing.replay.quotes import quote_at

_UNIT_US = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_NAMES = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
INTERVALS_US: Mapping[str, int] = {name: int(name[:-1]) * _UNIT_US[name[-1]] for name in _NAMES}

Encoder = Callable[[MarketTrade], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One of Binance's markets.

    Attributes:
        provider: The provider's name, as in settings.
        routes: The kinds of stream below each path; empty paths are the market's root.
        encoders: A trade as an event, by kind of stream.
        futures: Whether symbols are perpetuals'.
        intervals: Its bar intervals.
        max_streams: Streams a connection may have.
        requests_per_second: Messages a connection may send.
        rest_path: Where its REST endpoints begin.
        weight_limit: Request weight a minute.
        trade_weight: What a page of aggregate trades costs.
        max_bars: Bars in a page.
        window_ms: Two times in a request for trades must be less than this apart; None for any.
        kept_ms: Older trades than this are not told of; None for no limit.
    """

    provider: str
    routes: Mapping[str, frozenset[str]]
    encoders: Mapping[str, Encoder]
    futures: bool
    intervals: frozenset[str]
    max_streams: int
    requests_per_second: int
    rest_path: str
    weight_limit: int
    trade_weight: int
    max_bars: int
    window_ms: int | None = None
    kept_ms: int | None = None

    def wire_symbol(self, symbol: str, played: PlayedHistory) -> str | None:
        """What it calls a played symbol; None where it has no such one.

        Futures are perpetuals. A market without any is played as futures too; where both a pair and its perpetual are
        played, only the latter is, from its first trade on.
        """
        if symbol.endswith(PERPETUAL):
            return symbol.removesuffix(PERPETUAL) if self.futures else None
        return None if self.futures and played.last(symbol + PERPETUAL) else symbol

    def played_symbol(self, wire_symbol: str, played: PlayedHistory) -> str:
        """The played symbol behind its own name."""
        perpetual = wire_symbol + PERPETUAL
        return perpetual if self.futures and played.last(perpetual) else wire_symbol


def plain(symbol: str) -> str:
    """The pair of a perpetual or of anything else."""
    return symbol.removesuffix(PERPETUAL)


def event_of(kind: str, trade: MarketTrade) -> dict[str, Any]:
    """What every event begins with. Times are truncated to ms."""
    return {"e": kind, "E": trade.event_time_us // 1_000, "s": plain(trade.symbol)}


def aggregate_of(trade: MarketTrade) -> dict[str, Any]:
    """An aggregate that holds just this trade, as in REST; `a`, `f` and `l` are its sequence.

    A trade without a side counts as bought.
    """
    number = trade.sequence
    return {
        "a": number,
        "p": decimal_text(trade.price),
        "q": decimal_text(trade.size),
        "f": number,
        "l": number,
        "T": trade.event_time_us // 1_000,
        "m": trade.side == "sell",
    }


def book_of(trade: MarketTrade) -> dict[str, Any]:
    """The best bid and ask that a trade leaves behind; the update id is its sequence."""
    quote = quote_at(trade)
    return {
        "u": trade.sequence,
        "s": plain(trade.symbol),
        "b": decimal_text(quote.bid_price),
        "B": decimal_text(quote.bid_size),
        "a": decimal_text(quote.ask_price),
        "A": decimal_text(quote.ask_size),
    }


def encode_kline(wire_symbol: str, interval: str, bar: PlayedBar, event_time_us: int) -> bytes:
    """A `kline` event; closed where the event's time is beyond the bar's end. Half of it was bought by takers."""
    row = kline_row(bar)
    kline = {
        "t": row[0],
        "T": row[6],
        "s": wire_symbol,
        "i": interval,
        "f": bar.first_sequence,
        "L": bar.last_sequence,
        "o": row[1],
        "c": row[4],
        "h": row[2],
        "l": row[3],
        "v": row[5],
        "n": row[8],
        "x": event_time_us >= bar.end_us,
        "q": row[7],
        "V": row[9],
        "Q": row[10],
        "B": "0",
    }
    return orjson.dumps({"e": "kline", "E": event_time_us // 1_000, "s": wire_symbol, "k": kline})


def kline_row(bar: PlayedBar) -> list[Any]:
    """A bar as REST has it. Half of it was bought by takers."""
    value = bar.vwap * bar.volume
    return [
        bar.start_us // 1_000,
        decimal_text(bar.open),
        decimal_text(bar.high),
        decimal_text(bar.low),
        decimal_text(bar.close),
        decimal_text(bar.volume),
        bar.end_us // 1_000 - 1,
        decimal_text(value),
        bar.trade_count,
        decimal_text(bar.volume / 2),
        decimal_text(value / 2),
        "0",
    ]
