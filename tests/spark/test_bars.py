"""The bars transform against an independent recomputation in polars."""

import random
from dataclasses import asdict, replace

import polars as pl
import pytest
from pyspark.sql import Row

from marketstream.contracts.messages import decode_bar, encode
from marketstream.domain.conditions import CONSOLIDATED, RULES
from marketstream.domain.interval import Interval
from marketstream.domain.market import Tick
from marketstream.streaming.bars import TICK_SCHEMA, make_bars, parse_ticks, to_messages
from oracle import differences, expected_bars

pytestmark = pytest.mark.spark

INTERVALS = tuple(map(Interval.parse, ("1min", "5min", "15min")))
DAY_US = 1_700_006_400_000_000  # 2023-11-15T00:00:00Z
MINUTE_US = 60_000_000


def tick(symbol, price, size, event_time_us, sequence, *conditions, provider="test"):
    return Tick(
        symbol=symbol,
        price=float(price),
        size=float(size),
        event_time_us=event_time_us,
        received_time_us=event_time_us + 250,
        provider=provider,
        trade_id=f"{symbol}-{sequence}",
        sequence=sequence,
        conditions=conditions,
    )


def random_ticks(count):
    chosen = random.Random(11)
    ticks = []
    for sequence in range(1, count + 1):
        # Coarse steps, so that many trades share a timestamp and many fall exactly on a bar's edge.
        offset = chosen.randrange(0, 3 * 3600) * 1_000_000 if sequence % 3 else chosen.randrange(0, 180) * MINUTE_US
        size = float(chosen.choice([0, 1, 7, 100, 2_500]))
        ticks.append(tick(chosen.choice("ABC"), round(chosen.uniform(50, 60), 2), size, DAY_US + offset, sequence))
    chosen.shuffle(ticks)
    return ticks


def make(spark, ticks, rules=CONSOLIDATED):
    names = [part.split()[0] for part in TICK_SCHEMA.split(", ")]
    rows = [Row(**{name: asdict(t)[name] for name in names}) for t in ticks]
    bars = to_messages(make_bars(spark.createDataFrame(rows, TICK_SCHEMA), INTERVALS, rules))
    return [decode_bar(bytes(row.value, "utf8")) for row in bars.collect()]


def table(ticks):
    return pl.DataFrame([asdict(t) for t in ticks], schema_overrides={"conditions": pl.List(pl.String)})


def with_conditions(ticks, seed):
    """Some with codes that hold something back, some with others, of providers with codes and without."""
    chosen = random.Random(seed)
    codes = [*CONSOLIDATED.codes["polygon"], "0", "12", "14", "41", "99"]
    made = []
    for t in ticks:
        own = tuple(chosen.sample(codes, chosen.choice([0, 0, 1, 1, 2])))
        made.append(replace(t, conditions=own, provider=chosen.choice(["polygon", "finage", "binance"])))
    return made


def test_bars_equal_an_independent_recomputation(spark):
    ticks = random_ticks(6_000)
    bars = make(spark, ticks)
    for interval in INTERVALS:
        made = [bar for bar in bars if bar.interval == interval.name]
        expected = expected_bars(table(ticks), interval.name)
        assert differences(expected, {(bar.symbol, bar.start_us): asdict(bar) for bar in made}) == []
        assert {bar.end_us - bar.start_us for bar in made} == {interval.us}
        assert all(bar.last_received_time_us == bar.last_event_time_us + 250 for bar in made)


@pytest.mark.parametrize(("count", "seed"), [(3_000, 1), (400, 2)])
def test_trades_update_what_their_conditions_let_them(spark, count, seed):
    ticks = with_conditions(random_ticks(count), seed)
    bars = make(spark, ticks)
    for interval in INTERVALS:
        expected = expected_bars(table(ticks), interval.name)
        made = {(bar.symbol, bar.start_us): asdict(bar) for bar in bars if bar.interval == interval.name}
        assert differences(expected, made) == []
    windows = {(t.symbol, t.event_time_us // MINUTE_US) for t in ticks}
    assert len(windows) > len({bar.start_us for bar in bars if bar.interval == "1min"})  # some have no bar


def test_where_all_trades_count_conditions_change_nothing(spark):
    ticks = with_conditions(random_ticks(1_000), 3)
    expected = expected_bars(table(ticks).drop("conditions"), "1min")
    made = {
        (bar.symbol, bar.start_us): asdict(bar) for bar in make(spark, ticks, RULES["all"]) if bar.interval == "1min"
    }
    assert differences(expected, made) == []


def test_what_is_held_back_is_counted_and_comes_with_the_bar_later(spark):
    held = [
        tick("A", 99.0, 5, DAY_US, 1, "37", provider="polygon"),  # an odd lot: volume
        tick("A", 98.0, 7, DAY_US + 1, 2, "15", provider="polygon"),  # an official close: nothing
        tick("A", 97.0, 3, DAY_US + 2, 3, "32", provider="polygon"),  # out of sequence: all but the last price
    ]
    assert make(spark, held) == []
    bars = make(spark, [*held, tick("A", 96.0, 2, DAY_US + 3, 4, "38", provider="polygon")])
    assert {(bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trade_count) for bar in bars} == {
        (96.0, 97.0, 96.0, 96.0, 8.0, 4)
    }
    only_closes = [tick("A", 95.0, 2, DAY_US, 1, "38", provider="polygon")]
    assert {(bar.volume, bar.vwap) for bar in make(spark, only_closes)} == {(0.0, 95.0)}


def test_ticks_without_provider_and_conditions_update_everything(spark):
    value = b'{"symbol":"A","price":10.0,"size":1,"event_time_us":%d,"received_time_us":1,"sequence":1}' % DAY_US
    frame = spark.createDataFrame([Row(value=bytearray(value))])
    assert [row.key for row in to_messages(make_bars(parse_ticks(frame), INTERVALS)).collect()] == ["A"] * 3


def test_equal_times_are_ordered_by_sequence_even_where_it_is_huge(spark):
    huge = 9_223_372_036_854_775_807
    bars = make(
        spark,
        [
            tick("A", 11.0, 1, DAY_US, huge),
            tick("A", 10.0, 1, DAY_US, huge - 2),
            tick("A", 12.0, 1, DAY_US, huge - 1),
        ],
    )
    assert {(bar.open, bar.close) for bar in bars} == {(10.0, 11.0)}


def test_a_trade_on_the_edge_belongs_to_the_bar_that_starts_there(spark):
    edge = DAY_US + 5 * MINUTE_US
    bars = make(spark, [tick("A", 10, 1, edge - 1, 1), tick("A", 20, 1, edge, 2)])
    five = sorted((bar.start_us, bar.close) for bar in bars if bar.interval == "5min")
    assert five == [(DAY_US, 10.0), (edge, 20.0)]


def test_messages_are_addressed_by_interval_and_symbol(spark):
    frame = spark.createDataFrame([Row(value=bytearray(encode(tick("A", 10, 1, DAY_US, 1))))])
    rows = to_messages(make_bars(parse_ticks(frame), INTERVALS)).collect()
    assert {(row.topic, row.key) for row in rows} == {
        ("aggregated_data_1min", "A"),
        ("aggregated_data_5min", "A"),
        ("aggregated_data_15min", "A"),
    }


def test_rows_that_are_no_tick_are_left_out(spark):
    good = encode(tick("A", 10, 1, DAY_US, 1))
    values = [b"", b"garbage", b"{}", b'{"symbol":"A"}', b"\xff\xfe", good[:-10], good]
    frame = spark.createDataFrame([Row(value=bytearray(value)) for value in values])
    assert [row.price for row in parse_ticks(frame).collect()] == [10.0]


def test_bars_of_an_added_interval_that_began_before_its_trades_were_read_are_left_out(spark):
    """Read from 00:07 on: of the quarters of an hour one is cut. Minutes have earlier versions and are all made."""
    since_us = DAY_US + 7 * MINUTE_US
    live = [tick("LIVE", 10, 1, DAY_US + minute * MINUTE_US, minute) for minute in range(7, 40)]
    delay_us = 15 * MINUTE_US
    delayed = [
        replace(tick("DELAYED", 10, 1, DAY_US + minute * MINUTE_US - delay_us, minute), received_time_us=at_us)
        for minute in range(7, 40)
        for at_us in [DAY_US + minute * MINUTE_US]
    ]
    played = [
        replace(tick("PLAYED", 10, 1, minute * MINUTE_US, minute), received_time_us=since_us + 15 * MINUTE_US + minute)
        for minute in range(30)
    ]
    late = [replace(live[0], received_time_us=DAY_US + 600 * MINUTE_US, trade_id="fetched", sequence=99)]
    frame = spark.createDataFrame([Row(value=bytearray(encode(each))) for each in (*live, *late, *delayed, *played)])
    cut = make_bars(parse_ticks(frame), INTERVALS, since_us={"15min": since_us})
    made = cut.collect()
    quarters = {(row.symbol, (row.start_us - DAY_US) // MINUTE_US) for row in made if row.interval == "15min"}
    assert {start for symbol, start in quarters if symbol == "LIVE"} == {15, 30}
    assert {start for symbol, start in quarters if symbol == "DELAYED"} == {0, 15}
    assert len([symbol for symbol, _ in quarters if symbol == "PLAYED"]) == 2
    assert len([row for row in made if (row.symbol, row.interval) == ("LIVE", "1min")]) == 33
    assert cut.columns == make_bars(parse_ticks(frame), INTERVALS).columns
    # Real-time mode can't run the sort aggregate.
    assert "SortAggregate" not in cut._jdf.queryExecution().executedPlan().toString()


def test_each_message_is_parsed_once(spark):
    frame = spark.createDataFrame([Row(value=bytearray(encode(tick("A", 10, 1, DAY_US, 1))))])
    plan = make_bars(parse_ticks(frame), INTERVALS)._jdf.queryExecution().optimizedPlan().toString()
    assert plan.count("from_json") == 1


def test_trades_without_a_number_stand_as_they_arrived(spark):
    arrived = [replace(tick("A", 100 + at, 1, DAY_US, 0), received_time_us=DAY_US + at + 1) for at in range(3)]
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        assert {(bar.open, bar.close) for bar in make(spark, [arrived[at] for at in order])} == {(100.0, 102.0)}
