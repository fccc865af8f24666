"""What the closer's tests share: bars as Spark publishes them, trade by trade."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from marketstream.contracts.messages import encode
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.testing.samples import sample_bars

START_US = 1_381_152_600_000_000  # 2013-10-07 13:30 UTC
SECOND_US = 1_000_000


def trade(symbol: str, at_us: int, number: int, *, received_us: int | None = None) -> Tick:
    return Tick(
        symbol=symbol,
        price=100.0 + number % 7,
        size=1.0 + number % 3,
        event_time_us=at_us,
        received_time_us=at_us + 20_000 if received_us is None else received_us,
        provider="polygon",
        trade_id=str(number),
        sequence=number,
    )


def bars_of(trades: Iterable[Tick], interval: Interval) -> dict[int, Bar]:
    """One symbol's bars by start, however its trades are ordered. One with a condition is an odd lot: volume only."""
    ordered = sorted(trades, key=lambda tick: tick.order)
    priced = sample_bars((tick for tick in ordered if not tick.conditions), interval)
    prices = {bar.start_us: {name: getattr(bar, name) for name in ("open", "high", "low", "close")} for bar in priced}
    whole = (bar for bar in sample_bars(ordered, interval) if bar.start_us in prices)
    return {bar.start_us: Bar(**{**asdict(bar), **prices[bar.start_us]}) for bar in whole}


def provisional(trades: Sequence[Tick], interval: Interval) -> list[Bar]:
    """What Spark publishes of one symbol's trades in this order of arrival: one version of a bar for each."""
    made: list[Bar] = []
    inside: dict[int, list[Tick]] = {}
    for tick in trades:
        start_us = interval.start_of(tick.event_time_us)
        inside.setdefault(start_us, []).append(tick)
        made += bars_of(inside[start_us], interval).values()
    return made


def in_time(times_us: Sequence[int], lateness_us: int) -> list[int]:
    """Those that the producer lets through, in their order."""
    passed: list[int] = []
    for time_us in times_us:
        if not passed or max(passed) - time_us <= lateness_us:
            passed.append(time_us)
    return passed


def messages(bars: Iterable[Bar]) -> list[bytes]:
    return [encode(bar) for bar in bars]
