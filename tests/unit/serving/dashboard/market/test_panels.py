"""What stands around the chart, read as text."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from marketstream.analytics.parameters import IndicatorParameters
from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.indicators import Indicators
from marketstream.serving.dashboard.market import panels
from marketstream.serving.dashboard.market.snapshot import TAPE_LENGTH, Snapshot, trade_key
from stores import make_cancel

Look = Callable[..., Snapshot]


def words(component: Any) -> str:
    """All text of a component, in order."""
    if component is None:
        return ""
    if isinstance(component, (str, int, float)):
        return str(component)
    children = component if isinstance(component, list) else getattr(component, "children", None)
    return " ".join(filter(None, map(words, children if isinstance(children, list) else [children])))


def test_the_summary_is_of_the_span(look: Look, world: Any) -> None:
    text = words(panels.summary(look()))
    bars = world.bars[-60:]
    last, first = world.ticks[-1].price, bars[0].open
    volume = sum(bar.volume for bar in bars)
    vwap = sum(bar.vwap * bar.volume for bar in bars) / volume
    for expected in (
        f"{last:,.2f}",
        f"{abs(last - first):,.2f}",
        f"{abs(last / first - 1) * 100:.2f} %",
        "in 1 hour",
        f"High {max(bar.high for bar in bars):,.2f}",
        f"Low {min(bar.low for bar in bars):,.2f}",
        f"VWAP {vwap:,.2f}",
        f"Trades {sum(bar.trade_count for bar in bars):,}",
    ):
        assert expected in text


def test_a_symbol_without_bars_has_no_summary(look: Look) -> None:
    snapshot = look("IBM")
    assert panels.summary(snapshot) == []
    assert words(panels.badge(snapshot)) == "No trades yet"
    assert panels.tape(snapshot) == {"fresh": True, "rows": [], "cancelled": []}
    assert "No 1min bars of IBM yet" in words(panels.empty(snapshot.selection))
    assert panels.origin(snapshot) == "All times are UTC."


def test_the_badge_tells_fresh_from_stale(look: Look, world: Any) -> None:
    assert words(panels.badge(look())) == "Live 0.5 s"
    world.clock.advance(600)
    assert words(panels.badge(look())) == "Stale 10 min"


def test_the_tape_is_newest_first_with_the_direction_of_each_move(look: Look, world: Any) -> None:
    told = panels.tape(look())
    ticks = world.ticks[-TAPE_LENGTH:]
    assert told["fresh"]
    assert len(told["rows"]) == TAPE_LENGTH
    for row, tick, before in zip(told["rows"], ticks[:0:-1], ticks[-2::-1], strict=False):
        direction = "up" if tick.price > before.price else "down" if tick.price < before.price else "flat"
        assert (row["moved"], row["price"]) == (direction, f"{tick.price:,.2f}")


def test_only_trades_since_the_last_look_are_told(look: Look) -> None:
    snapshot = look()
    seen = trade_key(snapshot.ticks.data[-4])
    told = panels.tape(snapshot, seen)
    assert not told["fresh"]
    assert [row["key"] for row in told["rows"]] == [trade_key(tick) for tick in snapshot.ticks.data[:-4:-1]]
    assert panels.tape(snapshot, "gone")["fresh"]


def test_cancelled_trades_are_named(look: Look, world: Any) -> None:
    world.history.add(make_cancel(world.ticks[-2]))
    assert panels.tape(look())["cancelled"] == [trade_key(world.ticks[-2])]


def test_the_legend_has_the_newest_values(look: Look, world: Any) -> None:
    bar, values = world.bars[-1], {"sma_20": 101.25, "bollinger_lower": 99.5, "bollinger_upper": 103.75}
    for store in (world.history, world.cache):
        store.add(Indicators.of(bar, values))
    snapshot = look(show=("vwap", "bollinger", "sma_20", "ema_12", "rsi"))
    text = words(panels.legend(snapshot, IndicatorParameters()))
    assert f"VWAP of the bar {bar.vwap:,.2f}" in text
    assert "Bollinger 20, 2 99.50 … 103.75 SMA 20 101.25 EMA 12 –" in text  # noqa: RUF001  # an en dash for nothing


def test_bars_without_indicators_are_explained(look: Look) -> None:
    assert "No indicators of these bars are stored." in panels.origin(bare(look()))


def bare(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, rows=[replace(row, indicators=None) for row in snapshot.rows])


def test_a_trade_that_was_taken_back_is_not_the_price(look: Look, world: Any) -> None:
    world.cache.add(make_cancel(world.ticks[-1]))
    snapshot = look()
    assert snapshot.ticks.data[-1] == world.ticks[-1]
    assert snapshot.last_price == world.ticks[-2].price
    world.cache.available = False
    world.history.add(make_cancel(world.ticks[-1]))
    assert look().last_price == world.ticks[-2].price


@pytest.mark.parametrize(("moves", "kind"), [(1.0, "up"), (-1.0, "down"), (0.0, "flat")])
def test_the_change_has_its_direction(look: Look, moves: float, kind: str) -> None:
    snapshot = look()
    last = replace(snapshot.ticks.data[-1], price=snapshot.bars.data[0].open + moves)
    headline = panels.summary(replace(snapshot, latest=last))[0]
    assert headline.children[1].className == f"change {kind}"


def test_the_footer_says_what_is_shown(look: Look) -> None:
    assert panels.origin(look()) == (
        "60 bars, 14 Nov 2023, 23:14 to 15 Nov 2023, 00:14. All times are UTC. From database."
    )


def test_the_tab_has_price_and_symbol(look: Look, world: Any) -> None:
    assert panels.title(look()) == f"{world.ticks[-1].price:,.2f} BTCUSDT · marketstream"


def test_a_missing_store_is_named(look: Look, world: Any) -> None:
    assert panels.degraded(look()) == []
    world.cache.available = False
    assert "The cache is away" in words(panels.degraded(look()))


def test_a_missing_database_is_named(look: Look, world: Any) -> None:
    world.history.available = False
    assert "The database is away" in words(panels.degraded(look()))


def test_both_away_says_why() -> None:
    assert "no route" in words(panels.away(StoreUnavailableError("no route")))
