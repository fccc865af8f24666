"""Windows without bars carry the close before them; held against a plain recomputation."""

import random
from dataclasses import fields
from typing import Any

import pytest

from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.serving.filling import FilledBar, filled_bars
from marketstream.serving.market_data import MarketData
from marketstream.testing.fake_readers import InMemoryMarketReader
from marketstream.testing.fakes import FakeClock
from stores import make_bar

MINUTE = Interval.parse("1min")
MINUTE_US = MINUTE.us
START_US = 1_700_000_040_000_000


def market(minutes: list[int], now_minute: float, void: int | None = None) -> tuple[MarketData, list[Bar]]:
    bars = [make_bar(START_US + minute * MINUTE_US, minute + 1) for minute in minutes]
    history = InMemoryMarketReader([], bars)
    if void is not None:
        history.add(make_bar(START_US + void * MINUTE_US, 0, cancelled=3))
    clock = FakeClock(START_US + round(now_minute * MINUTE_US))
    return MarketData(InMemoryMarketReader(), history, symbols=["IBM"], stale_after_seconds=30, clock=clock), bars


def told(data: MarketData, start: int | None, end: int | None, limit: int) -> list[tuple[int, float, bool]]:
    between = tuple(None if minute is None else START_US + minute * MINUTE_US for minute in (start, end))
    rows = filled_bars(data, "IBM", MINUTE, between, limit).data
    return [((row.start_us - START_US) // MINUTE_US, row.close, row.filled) for row in rows]


def expected(
    bars: list[Bar], start: int | None, end: int | None, limit: int, now_minute: float
) -> list[tuple[int, float, bool]]:
    """Minute by minute from the first bar on, by the rules as they are documented."""
    closes = {(bar.start_us - START_US) // MINUTE_US: bar.close for bar in bars}
    inside = [minute for minute in closes if (start is None or minute >= start) and (end is None or minute < end)]
    ended = [] if end is None else [-int(-min(end, now_minute) // 1) - 1]
    last = max([*inside, *ended], default=None)
    rows: list[tuple[int, float, bool]] = []
    close: float | None = None
    for minute in range(min(closes), (-1 if last is None else last) + 1):
        filled = minute not in closes
        close = closes.get(minute, close)
        if close is not None and (start is None or minute >= start):
            rows.append((minute, close, filled))
    return rows[-limit:]


@pytest.mark.parametrize("seed", range(40))
def test_every_window_has_its_bar_or_the_close_before_it(seed: int) -> None:
    chance = random.Random(seed)
    minutes = sorted(chance.sample(range(40), chance.randint(1, 20)))
    now_minute = max(minutes) + chance.choice([0.5, 7.25])
    start = chance.choice([None, chance.randrange(-5, 45)])
    end = chance.choice([None, (start or 0) + chance.randrange(1, 50)])
    limit = chance.choice([1, 5, 1_000])
    data, bars = market(minutes, now_minute)
    assert told(data, start, end, limit) == expected(bars, start, end, limit, now_minute)


def test_a_filled_window_says_that_nothing_traded() -> None:
    data, bars = market([0, 2], 2.5)
    row = filled_bars(data, "IBM", MINUTE, (None, None), 10).data[1]
    close = bars[0].close
    assert (row.open, row.high, row.low, row.close) == (close, close, close, close)
    assert (row.volume, row.vwap, row.trade_count, row.final, row.filled) == (0.0, None, 0, False, True)
    assert (row.start_us, row.end_us) == (START_US + MINUTE_US, START_US + 2 * MINUTE_US)
    assert row.last_event_time_us == bars[0].last_event_time_us
    assert [each.name for each in fields(FilledBar)] == [*(each.name for each in fields(Bar)), "filled"]


def test_a_bar_that_was_taken_back_whole_leaves_a_window_to_fill() -> None:
    data, bars = market([0, 2], 2.5, void=1)
    assert told(data, None, None, 10) == [
        (0, bars[0].close, False),
        (1, bars[0].close, True),
        (2, bars[1].close, False),
    ]


def test_nights_are_filled_as_any_hole_but_never_more_than_wanted() -> None:
    data, bars = market([0, 3 * 1_440], 3 * 1_440 + 0.5)
    rows = told(data, None, None, 100)
    assert len(rows) == 100
    assert {close for _, close, filled in rows if filled} == {bars[0].close}


def test_nothing_is_carried_from_nothing() -> None:
    data, _ = market([5], 9.5)
    assert told(data, 0, 4, 10) == []
    assert told(data, 20, 30, 10) == []
    empty = MarketData(InMemoryMarketReader(), InMemoryMarketReader(), symbols=["IBM"], stale_after_seconds=30)
    assert filled_bars(empty, "IBM", MINUTE, (None, None), 5).data == []


def test_a_missing_store_is_said(world: Any) -> None:
    world.cache.available = False
    assert filled_bars(world.market_data, "BTCUSDT", MINUTE, (None, None), 5).degraded
