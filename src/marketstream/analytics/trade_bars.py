"""A bar from its trades, by the rules of `docs/explanation/bars-and-time.md`; what Spark makes of them at once."""

from collections.abc import Sequence
from dataclasses import replace
from math import fsum

from marketstream.domain.conditions import TradeRules
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick


def bar_of(trades: Sequence[Tick], interval: Interval, rules: TradeRules) -> Bar | None:
    """The provisional bar of one symbol's trades in one window, in any order; None where none updates the last price.

    Args:
        trades: All of the window.
        interval: The bar's length.
        rules: Which trades update what.
    """
    ordered = sorted(trades, key=lambda tick: (tick.event_time_us, tick.sequence or tick.received_time_us))
    updates = [rules.updates(tick.provider, tick.conditions) for tick in ordered]
    last = [tick.price for tick, own in zip(ordered, updates, strict=True) if own.last]
    prices = [tick.price for tick, own in zip(ordered, updates, strict=True) if own.high_low]
    counted = [tick for tick, own in zip(ordered, updates, strict=True) if own.volume]
    if not last:
        return None
    start_us = interval.start_of(ordered[0].event_time_us)
    return Bar(
        symbol=ordered[0].symbol,
        interval=interval.name,
        start_us=start_us,
        end_us=start_us + interval.us,
        open=last[0],
        high=max(prices),
        low=min(prices),
        close=last[-1],
        volume=fsum(tick.size for tick in counted),
        vwap=_vwap(counted, last[-1]),
        trade_count=len(ordered),
        last_event_time_us=ordered[-1].event_time_us,
        last_received_time_us=max(tick.received_time_us for tick in ordered),
    )


def corrected(bar: Bar, trades: Sequence[Tick], cancelled: Sequence[Tick], rules: TradeRules) -> Bar:
    """The next provisional version of a bar, without its cancelled trades.

    Args:
        bar: The version that holds some of them.
        trades: All trades of its window that were not taken back.
        cancelled: All of its window that were.
        rules: Which trades update what.
    """
    made = bar_of(trades, Interval.parse(bar.interval), rules) if trades else None
    if made is None:  # void: its prices mean nothing any more
        seen = len(trades) + len(cancelled)
        return replace(bar, volume=0.0, vwap=bar.close, trade_count=0, cancelled=seen, final=False, revision=0)
    every = [*trades, *cancelled]
    return replace(
        made,
        cancelled=len(cancelled),
        last_event_time_us=max(tick.event_time_us for tick in every),
        last_received_time_us=max(tick.received_time_us for tick in every),
    )


def _vwap(counted: Sequence[Tick], close: float) -> float:
    volume = fsum(tick.size for tick in counted)
    if volume > 0:
        return fsum(tick.price * tick.size for tick in counted) / volume
    return fsum(tick.price for tick in counted) / len(counted) if counted else close
