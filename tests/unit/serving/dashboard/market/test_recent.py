"""Bars kept between looks: always what a whole reading gives, at a fraction of its rows."""

from dataclasses import replace
from typing import Any

from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar
from marketstream.serving.dashboard.market.recent import TAIL, RecentBars
from marketstream.serving.dashboard.market.selection import Selection
from marketstream.testing.fakes import FakeClock
from stores import make_indicators

SELECTION = Selection("BTCUSDT", "1min", "1h", ("vwap", "sma_20"))


class Counting:
    """Counts the rows that a reader was asked for and gave."""

    def __init__(self, world: Any) -> None:
        self.rows = 0
        self._bars = world.history.bars
        world.history.bars = self.bars

    def bars(self, *args: Any, **kwargs: Any) -> list[Bar]:
        found: list[Bar] = self._bars(*args, **kwargs)
        self.rows += len(found)
        return found


def recent_of(world: Any, clock: FakeClock) -> RecentBars:
    return RecentBars(world.market_data, monotonic=lambda: clock.time_us / 1e6)


def next_bar(bar: Bar, **changes: Any) -> Bar:
    length = bar.end_us - bar.start_us
    moved = {"start_us": bar.end_us, "end_us": bar.end_us + length, "last_event_time_us": bar.end_us + 1}
    return replace(bar, **{**moved, "final": False, **changes})


def test_the_second_look_asks_for_the_tail_alone(world: Any) -> None:
    clock, counting = FakeClock(), Counting(world)
    recent = recent_of(world, clock)
    first = recent.read(SELECTION)
    assert [row.bar for row in first.rows] == world.bars[-60:]
    assert counting.rows == 60
    clock.advance(2)
    newest = next_bar(world.bars[-1])
    world.history.add(newest, make_indicators(newest))
    second = recent.read(SELECTION)
    assert counting.rows == 60 + TAIL + 1
    assert [row.bar for row in second.rows] == [*world.bars[-59:], newest]
    assert second.rows[-1].values["sma_20"] == newest.close - 1 / 3
    assert second.generation == first.generation


def test_what_changes_in_the_tail_is_seen_at_once(world: Any) -> None:
    clock = FakeClock()
    recent = recent_of(world, clock)
    recent.read(SELECTION)
    clock.advance(2)
    late = replace(world.bars[-5], trade_count=world.bars[-5].trade_count + 1)
    world.history.add(late)
    assert recent.read(SELECTION).rows[-5].bar == late


def test_a_correction_of_an_old_bar_is_seen_within_a_minute(world: Any) -> None:
    clock = FakeClock()
    recent = recent_of(world, clock)
    before = recent.read(SELECTION)
    corrected = replace(world.bars[-40], cancelled=1, revision=world.bars[-40].revision + 1)
    world.history.add(corrected)
    clock.advance(2)
    assert recent.read(SELECTION).generation == before.generation
    clock.advance(60)
    after = recent.read(SELECTION)
    assert after.rows[-40].bar == corrected
    assert after.generation > before.generation


def test_indicators_belong_to_their_bar_or_are_absent(world: Any) -> None:
    newest = next_bar(world.bars[-1])
    world.history.add(newest)
    rows = recent_of(world, FakeClock()).read(SELECTION).rows
    assert rows[-1].indicators is None
    assert rows[-2].indicators == Indicators.of(world.bars[-1], rows[-2].values)


def test_while_the_database_is_away_the_newest_bar_is_shown_and_then_everything_again(world: Any) -> None:
    clock = FakeClock()
    recent = recent_of(world, clock)
    world.history.available = False
    assert [row.bar for row in recent.read(SELECTION).rows] == world.bars[-1:]
    world.history.available = True
    fresh = RecentBars(world.market_data)  # the store is left alone for a second after it failed
    clock.advance(2)
    world.market_data.history._resume_at = 0.0  # that second is over
    assert len(recent.read(SELECTION).rows) == len(fresh.read(SELECTION).rows) == 60
