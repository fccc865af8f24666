"""However messages are interleaved, cut into batches and interrupted by crashes: the same finals, each once."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from closing import SECOND_US, START_US, bars_of, in_time, provisional, trade
from marketstream.contracts.messages import decode_bar, encode
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar, Tick
from marketstream.streaming.closing import BarCloser
from marketstream.streaming.closing_rules import ClosingRules
from marketstream.streaming.closing_state import Closed, Symbol

LATENESS_SECONDS = 4
RULES = ClosingRules(LATENESS_SECONDS, grace_seconds=1.0, settle_seconds=0.0)
INTERVALS = (Interval.parse("1s"), Interval.parse("10s"), Interval.parse("1min"))
NEVER_US = 2**62
NOW_US = START_US + 3_600 * SECOND_US

seconds = st.lists(st.integers(0, 100), min_size=1, max_size=40)
days = st.dictionaries(st.sampled_from(["IBM", "BAC", "MSFT"]), seconds, min_size=1)
seeds = st.integers(0, 2**32)

SHARDED = (Interval.parse("10s"), Interval.parse("1min"))

Series = dict[tuple[str, str], list[bytes]]


class Remembered(dict[tuple[str, str, int], Closed]):
    """Closed bars in a dictionary."""

    def put(self, key: tuple[str, str, int], closed: Closed) -> None:
        self[key] = closed


def played(day: dict[str, list[int]]) -> tuple[Series, dict[tuple[str, str, int], Bar]]:
    """What Spark publishes of each symbol and interval, and the bars that must come of it."""
    series: Series = {}
    expected: dict[tuple[str, str, int], Bar] = {}
    for symbol, offsets in day.items():
        times = in_time([START_US + offset * SECOND_US for offset in offsets], LATENESS_SECONDS * SECOND_US)
        trades = [trade(symbol, time_us, number) for number, time_us in enumerate(times)]
        for interval in INTERVALS:
            series[symbol, interval.name] = [encode(bar) for bar in provisional(trades, interval)]
            expected |= {(symbol, interval.name, start): bar for start, bar in bars_of(trades, interval).items()}
    return series, expected


def interleaved(series: Series, chance: random.Random) -> list[bytes]:
    """Every series in its order, mixed at random."""
    order = [key for key, values in series.items() for _ in values]
    chance.shuffle(order)
    rest = {key: iter(values) for key, values in series.items()}
    return [next(rest[key]) for key in order]


def content(bar: Bar) -> tuple[object, ...]:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap, bar.trade_count, bar.last_event_time_us)


def check(finals: Sequence[Bar], expected: dict[tuple[str, str, int], Bar]) -> None:
    found = {(bar.symbol, bar.interval, bar.start_us): bar for bar in finals}
    assert len(found) == len(finals)
    assert {bar.revision for bar in finals} <= {0}
    assert {key: content(bar) for key, bar in found.items()} == {key: content(bar) for key, bar in expected.items()}


@given(days, seeds)
@settings(deadline=None)
def test_any_interleaving_gives_the_same_finals(day: dict[str, list[int]], seed: int) -> None:
    chance = random.Random(seed)
    series, expected = played(day)
    closer = BarCloser(RULES, Remembered())
    finals: list[Bar] = []
    for value in interleaved(series, chance):
        closer.take_bar(value, 0.0)
        if chance.random() < 0.3:
            finals += [final.bar for final in closer.due(0.0)]
    finals += [final.bar for final in closer.due(10.0)]
    finals += [final.bar for final in closer.idle(10.0, NEVER_US)]
    check(finals, expected)
    assert closer.open_bars() == 0


@given(days, seeds)
@settings(deadline=None)
def test_odd_lots_neither_hold_a_final_up_nor_bring_it_too_early(day: dict[str, list[int]], seed: int) -> None:
    """Spark is behind as much as it likes; nobody is ever silent before the end."""
    chance = random.Random(seed)
    closer = BarCloser(replace(RULES, intervals=INTERVALS), Remembered())
    waiting: dict[str, list[Tick]] = {}
    seen: dict[str, list[Tick]] = {}
    made: dict[str, list[Tick]] = {}
    finals: list[Bar] = []
    for symbol, offsets in day.items():
        times = in_time([START_US + offset * SECOND_US for offset in offsets], LATENESS_SECONDS * SECOND_US)
        waiting[symbol] = [
            replace(
                trade(symbol, time_us, number, received_us=NOW_US + number),
                conditions=("37",) * (chance.random() < 0.5),
            )
            for number, time_us in enumerate(times)
        ]
        seen[symbol], made[symbol] = [], []
    while left := [symbol for symbol in day if waiting[symbol] or len(made[symbol]) < len(seen[symbol])]:
        symbol = chance.choice(left)
        if waiting[symbol] and chance.random() < 0.6:
            seen[symbol].append(waiting[symbol].pop(0))
            closer.take_tick(symbol, encode(seen[symbol][-1]), 0.0)
        elif len(made[symbol]) < len(seen[symbol]):
            made[symbol].append(seen[symbol][len(made[symbol])])
            for interval in INTERVALS:
                start_us = interval.start_of(made[symbol][-1].event_time_us)
                inside = [tick for tick in made[symbol] if interval.start_of(tick.event_time_us) == start_us]
                for bar in bars_of(inside, interval).values():
                    closer.take_bar(encode(bar), 0.0)
        finals += [final.bar for final in closer.due(0.0) + closer.passed(0.0)]
    finals += [final.bar for final in closer.idle(10.0, NEVER_US)]
    check(
        finals,
        {
            (symbol, interval.name, start): bar
            for symbol, trades in made.items()
            for interval in INTERVALS
            for start, bar in bars_of(trades, interval).items()
        },
    )
    assert closer.open_bars() == 0


@given(days, seeds)
@settings(deadline=None)
def test_crashes_lose_no_final_and_double_none(day: dict[str, list[int]], seed: int) -> None:
    """The log is Kafka: finals are put onto it behind what is there, and may be read again after a crash."""
    chance = random.Random(seed)
    series, expected = played(day)
    waiting, log = interleaved(series, chance), list[bytes]()
    saved: tuple[int, dict[str, bytes], dict[tuple[str, str, int], Closed]] = (0, {}, {})
    states: dict[str, bytes] = {}
    remembered = Remembered()
    closer, position, all_read_from = BarCloser(RULES, remembered), 0, 0
    while waiting or position < len(log):
        count = chance.randint(1, 5)
        log, waiting = log + waiting[:count], waiting[count:]
        batch = log[position : position + chance.randint(0, 8)]
        for value in batch:
            closer.take_bar(value, 0.0)
        position += len(batch)
        if position >= all_read_from:
            log += [encode(final.bar) for final in closer.due(0.0)]
        if chance.random() < 0.2:
            states |= {name: symbol.dump() for name, symbol in closer.changed()}
            saved = (position, dict(states), dict(remembered))
        if chance.random() < 0.1:
            position, states, remembered = saved[0], dict(saved[1]), Remembered(saved[2])
            closer, all_read_from = BarCloser(RULES, remembered), len(log)
            for name, state in states.items():
                closer.restore(name, Symbol.load(state, 0.0))
    log += [encode(final.bar) for final in closer.due(10.0) + closer.idle(10.0, NEVER_US)]
    finals = [bar for bar in map(decode_bar, log) if bar.final]
    assert max(Counter((bar.symbol, bar.interval, bar.start_us) for bar in finals).values()) == 1
    check(finals, expected)


class Spark:
    """Spark with a shuffle partition for every bar: rows of a batch come in any order, and a crash cuts it anywhere."""

    def __init__(self, log: list[Tick], chance: random.Random) -> None:
        self._log = log
        self._chance = chance
        self._committed = 0

    @property
    def done(self) -> bool:
        return self._committed == len(self._log)

    def batch(self) -> Iterator[bytes]:
        """The rows of what has come since the last commit; the caller may stop anywhere, and nothing was committed."""
        until = self._chance.choice([len(self._log), min(len(self._log), self._committed + self._chance.randint(1, 6))])
        rows = []
        for symbol in {tick.symbol for tick in self._log[self._committed : until]}:
            own = [tick for tick in self._log[:until] if tick.symbol == symbol]
            new = [tick for tick in self._log[self._committed : until] if tick.symbol == symbol]
            for interval in SHARDED:
                touched = {interval.start_of(tick.event_time_us) for tick in new}
                inside = [tick for tick in own if interval.start_of(tick.event_time_us) in touched]
                rows += [encode(bar) for bar in bars_of(inside, interval).values()]
        self._chance.shuffle(rows)
        yield from rows
        self._committed = until


@given(days, seeds)
@settings(deadline=None)
def test_whatever_order_spark_s_rows_come_in_and_however_it_crashes_no_final_lacks_a_trade(
    day: dict[str, list[int]], seed: int
) -> None:
    """Any time may pass between two rows; half of the trades were received in the same frame as the one before."""
    chance = random.Random(seed)
    waiting = [
        replace(
            trade(symbol, time_us, number, received_us=NOW_US + number // 2), conditions=("37",) * (number % 4 == 3)
        )
        for symbol, offsets in day.items()
        for number, time_us in enumerate(
            in_time([START_US + offset * SECOND_US for offset in offsets], LATENESS_SECONDS * SECOND_US)
        )
    ]
    log, finals, now = list[Tick](), list[Bar](), 0.0
    spark, remembered, states = Spark(log, chance), Remembered(), dict[str, bytes]()
    closer = BarCloser(replace(RULES, intervals=SHARDED), remembered)
    while waiting or not spark.done:
        for tick in waiting[: chance.randint(0, 6)]:
            waiting.remove(tick)
            log.append(tick)
            closer.take_tick(tick.symbol, encode(tick), now)
        if chance.random() < 0.1:  # the closer too: it was saved just now
            states |= {name: symbol.dump() for name, symbol in closer.changed()}
            closer = BarCloser(replace(RULES, intervals=SHARDED), remembered)
            for name, state in states.items():
                closer.restore(name, Symbol.load(state, now))
        for value in spark.batch():
            closer.take_bar(value, now)
            now += chance.choice([0.0, 0.0, 1.0, 60.0])
            made = closer.due(now) + closer.passed(now)
            made += [] if waiting else closer.idle(now, NEVER_US)
            finals += [final.bar for final in made]
            if chance.random() < 0.1:
                break
    finals += [final.bar for final in closer.due(now + 10.0) + closer.idle(now + 10.0, NEVER_US)]
    expected = {}
    for symbol in day:
        for interval in SHARDED:
            own = bars_of((tick for tick in log if tick.symbol == symbol), interval)
            expected |= {(symbol, interval.name, start): bar for start, bar in own.items()}
    check(finals, expected)
    assert closer.open_bars() == 0
