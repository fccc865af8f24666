"""A bar from its trades in plain Python, against an independent recomputation in polars."""

import random
from dataclasses import asdict, replace

import polars as pl
import pytest

from marketstream.analytics.trade_bars import bar_of, corrected
from marketstream.domain.conditions import CONSOLIDATED, RULES
from marketstream.domain.interval import Interval
from marketstream.domain.market import Tick
from oracle import differences, expected_bars

MINUTE = Interval.parse("1min")
START_US = 1_700_006_400_000_000
CODES = ["0", "12", "14", "37", "32", "15", "38", "99"]


def trade(number: int, chance: random.Random) -> Tick:
    return Tick(
        symbol="IBM",
        price=round(chance.uniform(50, 60), 2),
        size=chance.choice([0.0, 1.0, 100.0, 0.1]),
        event_time_us=START_US + chance.randrange(60) * 1_000_000,
        received_time_us=START_US + 70_000_000 + number,
        provider=chance.choice(["polygon", "binance"]),
        trade_id=str(number),
        sequence=number + 1,
        conditions=tuple(chance.sample(CODES, chance.choice([0, 0, 1, 2]))),
    )


def expected(trades: list[Tick]) -> dict[tuple[str, int], dict]:
    table = pl.DataFrame([asdict(each) for each in trades], schema_overrides={"conditions": pl.List(pl.String)})
    return expected_bars(table, "1min")


@pytest.mark.parametrize("seed", range(60))
def test_a_bar_equals_an_independent_recomputation(seed: int) -> None:
    chance = random.Random(seed)
    trades = [trade(number, chance) for number in range(chance.choice([1, 2, 3, 8, 40]))]
    bar = bar_of(trades, MINUTE, CONSOLIDATED)
    assert differences(expected(trades), {("IBM", START_US): asdict(bar)} if bar else {}) == []


def test_trades_without_a_number_stand_as_they_arrived() -> None:
    chance = random.Random(1)
    arrived = [
        replace(trade(number, chance), event_time_us=START_US, sequence=0, conditions=(), price=100.0 + number)
        for number in range(3)
    ]
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        bar = bar_of([arrived[at] for at in order], MINUTE, CONSOLIDATED)
        assert bar is not None
        assert (bar.open, bar.close) == (100.0, 102.0)


@pytest.mark.parametrize("seed", range(60))
def test_a_corrected_bar_is_that_of_the_trades_that_are_left(seed: int) -> None:
    chance = random.Random(seed)
    trades = [trade(number, chance) for number in range(chance.choice([2, 3, 8, 40]))]
    bar = bar_of(trades, MINUTE, CONSOLIDATED)
    if bar is None:
        return
    final = replace(bar, final=True, revision=4)
    taken = chance.sample(trades, chance.randint(1, len(trades)))
    left = [each for each in trades if each not in taken]
    made = corrected(final, left, taken, CONSOLIDATED)
    assert made.version > final.version
    assert (made.final, made.trade_count + made.cancelled) == (False, len(trades))
    assert made.last_received_time_us == final.last_received_time_us
    oracle = expected(left) if left else {}
    if not oracle:
        assert (made.void, made.volume, made.open) == (True, 0.0, final.open)
        return
    wanted = {key: {**row, "last_event_time_us": made.last_event_time_us} for key, row in oracle.items()}
    assert differences(wanted, {("IBM", START_US): asdict(made)}) == []


def test_a_later_trade_after_a_correction_is_the_newer_version_until_it_is_corrected_too() -> None:
    chance = random.Random(1)
    trades = [replace(trade(number, chance), conditions=()) for number in range(4)]
    first = bar_of(trades[:3], MINUTE, CONSOLIDATED)
    assert first is not None
    without = corrected(first, trades[1:3], trades[:1], CONSOLIDATED)
    later = bar_of(trades, MINUTE, CONSOLIDATED)
    assert later is not None
    again = corrected(later, trades[1:], trades[:1], CONSOLIDATED)
    assert first.version < without.version < later.version < again.version


def test_where_conditions_are_not_looked_at_every_trade_counts() -> None:
    odd_lot = replace(trade(1, random.Random(1)), provider="polygon", conditions=("37",))
    assert bar_of([odd_lot], MINUTE, CONSOLIDATED) is None
    bar = bar_of([odd_lot], MINUTE, RULES["all"])
    assert bar is not None
    assert bar.close == odd_lot.price
