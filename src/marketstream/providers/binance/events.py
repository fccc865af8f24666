"""Binance's events as they are on the wire, and the ticks, quotes and bars they become: the same for stream and REST.

Spot's `bookTicker` tells no time, so there a quote's event time is the moment it was received; futures tell when the
book changed (`T`). Of two quotes the one with the higher update id `u`, the sequence, is the newer.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from typing import Literal, NotRequired

from typing_extensions import TypedDict

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Quote, Tick
from marketstream.domain.outcomes import Reason
from marketstream.providers.bars import BarError, Numbers, closed, provider_bar
from marketstream.providers.faults import Source, number_reason
from marketstream.providers.fields import NumericText, Sequence64, StrictBool, SymbolText, TimeMs
from marketstream.providers.symbology import Symbology
from marketstream.providers.times import sane_us

# Binance's bar intervals that divide a day, and ours.
WIRE_INTERVALS: Mapping[str, Interval] = {
    wire: Interval.parse(wire.replace("m", "min"))
    for wire in ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
}
WireInterval = Literal[
    "1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"
]
# Quote volumes are rounded to 8 decimals, which is much where prices are tiny.
_VWAP_TOLERANCE = 0.01


class Trade(TypedDict):
    """What an aggregate trade has on the stream and in REST alike."""

    a: Sequence64  # consecutive per symbol
    p: NumericText
    q: NumericText
    T: TimeMs
    m: StrictBool  # the buyer is the maker, so the taker sold


class TradeEvent(Trade):
    """An `aggTrade` event."""

    e: Literal["aggTrade"]
    s: SymbolText


class QuoteEvent(TypedDict):
    """A `bookTicker` event; spot's has no `e`, `T` and `E`."""

    s: SymbolText
    u: Sequence64
    b: NumericText
    B: NumericText
    a: NumericText
    A: NumericText
    T: NotRequired[TimeMs]


class Kline(TypedDict):
    """A bar inside a `kline` event."""

    t: TimeMs
    i: WireInterval
    o: NumericText
    h: NumericText
    l: NumericText  # noqa: E741  # Binance's name
    c: NumericText
    v: NumericText
    q: NumericText
    n: Sequence64
    x: StrictBool


class BarEvent(TypedDict):
    """A `kline` event."""

    e: Literal["kline"]
    E: TimeMs
    s: SymbolText
    k: Kline


def tick_of(trade: Trade, symbol: str, received_time_us: int, provider: str) -> Tick:
    """The tick of an aggregate trade.

    Raises:
        ValueError: Its numbers are no trade's; `trade_doubt` says why.
    """
    number = trade["a"]
    return Tick(
        symbol=symbol,
        price=float(trade["p"]),
        size=float(trade["q"]),
        event_time_us=trade["T"] * 1_000,
        received_time_us=received_time_us,
        provider=provider,
        trade_id=str(number),
        sequence=number,
        asset_class="crypto",
        exchange=provider,
        side="sell" if trade["m"] else "buy",
    )


def trade_doubt(trade: Trade) -> Reason:
    """Why no tick can be made of a trade's numbers."""
    return number_reason(float(trade["p"]), float(trade["q"]))


def tick_of_event(event: TradeEvent, received_time_us: int, names: Symbology, provider: str) -> Tick:
    """The tick of an `aggTrade` event; raises as `tick_of` does."""
    return tick_of(event, names.canonical(event["s"]), received_time_us, provider)


def quote_of_event(event: QuoteEvent, received_time_us: int, names: Symbology, provider: str) -> Quote | None:
    """The quote of a `bookTicker` event; None where a side of the book has no orders, which is sent as 0 at size 0.

    Raises:
        ValueError: Its numbers are no quote's; `quote_doubt` says why.
    """
    bid, bid_size, ask, ask_size = float(event["b"]), float(event["B"]), float(event["a"]), float(event["A"])
    if 0 == bid == bid_size or 0 == ask == ask_size:
        return None
    return Quote(
        symbol=names.canonical(event["s"]),
        bid_price=bid,
        bid_size=bid_size,
        ask_price=ask,
        ask_size=ask_size,
        event_time_us=sane_us(event["T"] * 1_000, received_time_us) if "T" in event else received_time_us,
        received_time_us=received_time_us,
        provider=provider,
        sequence=event["u"],
        asset_class="crypto",
        exchange=provider,
    )


def quote_doubt(event: QuoteEvent) -> Reason:
    """Why no quote can be made of an event's numbers."""
    bid = number_reason(float(event["b"]), float(event["B"]))
    return number_reason(float(event["a"]), float(event["A"])) if bid is Reason.INVALID_FIELD else bid


def bar_of_event(event: BarEvent, received_time_us: int, names: Symbology, provider: str) -> Bar | None:
    """The bar of a `kline` event; None where it is longer than any bar here.

    Raises:
        BarError: Its numbers are no bar's.
    """
    kline = event["k"]
    interval = WIRE_INTERVALS.get(kline["i"])
    if interval is None:
        return None
    numbers = Numbers(*map(float, (kline["o"], kline["h"], kline["l"], kline["c"], kline["v"])))
    source = Source(provider, received_time_us)
    bar = provider_bar(source, names.canonical(event["s"]), interval, kline["t"] * 1_000, numbers)
    bar = counted(bar, kline["n"], float(kline["q"]))
    if kline["x"]:
        return closed(bar)
    return replace(bar, last_event_time_us=min(max(event["E"] * 1_000, bar.start_us), bar.end_us - 1))


def bar_doubt(_event: BarEvent) -> Reason:
    """Why no bar can be made of an event, where a `BarError` has not said it."""
    return Reason.INVALID_FIELD


def counted(bar: Bar, trades: int, quote_volume: float) -> Bar:
    """The bar with its number of trades and its volume-weighted average price; without one where nothing traded.

    Raises:
        BarError: The numbers make no price.
    """
    if not isfinite(quote_volume):
        raise BarError(Reason.NOT_FINITE, "a bar's quote volume is not finite")
    if quote_volume < 0:
        raise BarError(Reason.NEGATIVE_SIZE, "a bar's quote volume is negative")
    if bar.volume == 0:
        return replace(bar, trade_count=trades)
    vwap = quote_volume / bar.volume
    if not bar.low * (1 - _VWAP_TOLERANCE) <= vwap <= bar.high * (1 + _VWAP_TOLERANCE):
        raise BarError(Reason.INCONSISTENT_BAR, "a bar's average price is not among its prices")
    return replace(bar, trade_count=trades, vwap=vwap)
