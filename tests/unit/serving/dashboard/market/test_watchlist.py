"""The watchlist: prices and changes of all symbols, without asking the database each time."""

from dataclasses import replace
from typing import Any

from marketstream.domain.interval import Interval
from marketstream.serving.dashboard.market.watchlist import POINTS, Watchlist
from marketstream.testing.fakes import FakeClock


def watchlist_of(world: Any, clock: FakeClock) -> Watchlist:
    return Watchlist(world.market_data, Interval.parse("1min"), monotonic=lambda: clock.time_us / 1e6)


def test_every_symbol_has_a_row(world: Any) -> None:
    row, silent = watchlist_of(world, FakeClock()).read()
    last, first = world.ticks[-1].price, world.bars[-60].open
    change = (last / first - 1) * 100
    assert (row["symbol"], row["price"]) == ("BTCUSDT", f"{last:,.2f}")
    assert row["change"].endswith(f"{abs(change):.2f} %")
    assert row["moved"] == ("up" if change > 0 else "down")
    assert 2 < len(row["points"]) <= POINTS
    assert (min(row["points"]), max(row["points"])) == (0, 100)
    assert (silent["symbol"], silent["points"], silent["change"]) == ("IBM", [], "")


def test_prices_are_new_each_time_and_courses_seldom(world: Any) -> None:
    clock, asked = FakeClock(), []
    watchlist, bars = watchlist_of(world, clock), world.history.bars
    world.history.bars = lambda *args, **kwargs: asked.append(args) or bars(*args, **kwargs)
    watchlist.read()
    assert len(asked) == 2
    clock.advance(2)
    last = world.ticks[-1]
    world.cache.add(replace(last, trade_id="new", price=123.45, event_time_us=last.event_time_us + 1))
    assert watchlist.read()[0]["price"] == "123.45"
    assert len(asked) == 2
    clock.advance(30)
    watchlist.read()
    assert len(asked) == 4
