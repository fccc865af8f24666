"""Bars without holes: a window in which nothing traded carries the close before it."""

from dataclasses import dataclass, fields, replace
from typing import Any

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.serving.market_data import Answer, MarketData
from marketstream.serving.merging import Range

_FIELDS = tuple(each.name for each in fields(Bar))


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledBar(Bar):
    """A window: with its bar, or without one and at the close before it.

    Attributes:
        filled: There is no bar: `volume` and `trade_count` are 0, `vwap` is None, and both `last_…_us` are those of the
            bar that the close is from.
    """

    filled: bool

    def __post_init__(self) -> None:
        """Asks nothing: what a bar owes to its trades, a window without any does not."""


def filled_bars(
    market_data: MarketData, symbol: str, interval: Interval, between: Range, limit: int
) -> Answer[list[FilledBar]]:
    """The newest `limit` windows that start in `[start_us, end_us)`, each with its bar or with the close before it.

    Windows are those of the UTC day. They begin with the first bar there is, if `start_us` is before it, and end with
    the newest bar or, where `end_us` is given, before that or the present, whichever is first. At most two queries.

    Raises:
        StoreUnavailableError: Both stores are away.
    """
    answer = market_data.bars(symbol, interval, start_us=between[0], end_us=between[1], limit=limit)
    holes = holes_of(answer.data, interval, between, limit, market_data.now_us())
    before = market_data.bars(symbol, interval, end_us=holes.first_us, limit=1) if holes.open else None
    return fill(answer, before, interval, holes)


@dataclass(frozen=True, slots=True)
class Holes:
    """Which windows are wanted.

    Attributes:
        first_us: Start of the first one.
        last_us: Start of the last one; None where there is none.
        bars: The bars that fall into them.
        open: The first window has no bar, so the bar before it is wanted.
    """

    first_us: int
    last_us: int | None
    bars: list[Bar]
    open: bool


def holes_of(bars: list[Bar], interval: Interval, between: Range, limit: int, now_us: int) -> Holes:
    """Which windows the newest `limit` are, by the bars of the range."""
    start_us, end_us = between
    last_us = _last_window(bars, interval, end_us, now_us)
    if last_us is None:
        return Holes(0, None, [], open=False)
    first_us = last_us - (limit - 1) * interval.us
    if start_us is not None:
        first_us = max(first_us, -(-start_us // interval.us) * interval.us)
    inside = [bar for bar in bars if bar.start_us >= first_us]
    unknown = first_us <= last_us and (not inside or interval.start_of(inside[0].start_us) > first_us)
    return Holes(first_us, last_us, inside, open=unknown)


def fill(
    answer: Answer[list[Bar]], before: Answer[list[Bar]] | None, interval: Interval, holes: Holes
) -> Answer[list[FilledBar]]:
    """The wanted windows; `before` has the bar before the first one, where that was asked for."""
    if holes.last_us is None:
        return _answer(answer, [])
    degraded = answer.degraded or (before is not None and before.degraded)
    carried = before.data[-1] if before and before.data else None
    newest = answer if holes.bars or before is None else before
    rows = _grid(holes.bars, carried, interval, holes.first_us, holes.last_us)
    return replace(_answer(newest, rows), degraded=degraded)


def _answer(of: Answer[list[Bar]], rows: list[FilledBar]) -> Answer[list[FilledBar]]:
    return Answer(rows, of.source, of.degraded, of.stale, of.age_seconds, of.received_us)


def _last_window(bars: list[Bar], interval: Interval, end_us: int | None, now_us: int) -> int | None:
    newest = interval.start_of(bars[-1].start_us) if bars else None
    if end_us is None:
        return newest
    ended = interval.start_of(min(end_us, now_us) - 1)
    return ended if newest is None else max(ended, newest)


def _grid(bars: list[Bar], carried: Bar | None, interval: Interval, first_us: int, last_us: int) -> list[FilledBar]:
    rows: list[FilledBar] = []
    waiting = iter(bars)
    following = next(waiting, None)
    for start_us in range(first_us, last_us + 1, interval.us):
        found = False
        while following is not None and following.start_us < start_us + interval.us:
            rows.append(_row(following))
            carried, following, found = following, next(waiting, None), True
        if not found and carried is not None:
            rows.append(_carried(carried, start_us, interval))
    return rows


def _row(bar: Bar, **changes: Any) -> FilledBar:
    return FilledBar(**{**{name: getattr(bar, name) for name in _FIELDS}, "filled": False, **changes})


def _carried(bar: Bar, start_us: int, interval: Interval) -> FilledBar:
    """Not final: a trade that is fetched later makes a bar of it."""
    return _row(
        bar,
        start_us=start_us,
        end_us=start_us + interval.us,
        **dict.fromkeys(("open", "high", "low"), bar.close),
        volume=0.0,
        vwap=None,
        trade_count=0,
        final=False,
        revision=0,
        provider=None,
        cancelled=0,
        filled=True,
    )
