"""The bars query, streamed: however the same trades arrive, the bars of all intervals and the finals are the same.

Trades in disorder within the lateness, sent again, cut into other batches, over other numbers of partitions; judged by
the validator as the producer does it, and closed as the closer does it.
"""

import os
import random
from dataclasses import asdict, replace

import polars as pl
import pytest

from marketstream.contracts.messages import decode_bar, encode
from marketstream.domain.interval import Interval
from marketstream.domain.market import Tick
from marketstream.producers.validation import TickValidator, Verdict
from marketstream.streaming.bars import make_bars, parse_ticks, to_messages
from marketstream.streaming.closing import BarCloser
from marketstream.streaming.closing_rules import ClosingRules
from oracle import ALL_INTERVAL_US, differences, expected_bars

pytestmark = pytest.mark.spark

INTERVALS = tuple(map(Interval.parse, ALL_INTERVAL_US))
SECOND_US = 1_000_000
LATENESS_SECONDS = 10
MIDNIGHT_US = 1_700_006_400_000_000  # 2023-11-15T00:00:00Z
RECEIVED_US = MIDNIGHT_US + 86_400 * SECOND_US
STEPS_US = (0, 0, 1_000, 400_000, 3 * SECOND_US, 20 * SECOND_US, 45 * SECOND_US)


class Remembered(dict):
    """Which bars are final, as the closer wants to be told."""

    put = dict.__setitem__


@pytest.fixture(scope="module")
def trades():
    """Three symbols around midnight: bursts, equal times, edges of all intervals, silences, fractional sizes."""
    chance = random.Random(20)
    return [trade for symbol in "ABC" for trade in symbol_trades(symbol, chance, 500)]


def symbol_trades(symbol, chance, count):
    time_us, price, made = MIDNIGHT_US - 4_000 * SECOND_US, 100.0, []
    for sequence in range(count):
        time_us += chance.choice(STEPS_US)
        if chance.random() < 0.1:
            time_us += -time_us % (chance.choice((1, 10, 60, 300)) * SECOND_US) - chance.choice((0, 0, 1_000))
        price = round(price + chance.gauss(0, 0.2), 2)
        made.append(
            Tick(
                symbol=symbol,
                price=price,
                size=chance.choice((0.0, 1.0, 7.0, 100.0, 0.25, 0.1)),
                event_time_us=time_us,
                received_time_us=time_us,
                provider="test",
                trade_id=str(sequence),
                sequence=sequence,
            )
        )
    return made


def arrivals(trades, seed):
    """What the producer publishes of the trades when they come up to the lateness late, and many twice."""
    chance = random.Random(seed)
    sent = [*trades, *(trade for trade in trades if chance.random() < 0.3)]
    sent.sort(key=lambda trade: trade.event_time_us + chance.randrange(LATENESS_SECONDS * SECOND_US))
    validator = TickValidator("ABC", LATENESS_SECONDS)
    verdicts = [validator.judge(trade, RECEIVED_US) for trade in sent]
    passed = [trade for trade, verdict in zip(sent, verdicts, strict=True) if verdict is Verdict.ACCEPTED]
    assert verdicts.count(Verdict.DUPLICATE) == len(sent) - len(passed) > 300
    assert passed != sorted(passed, key=lambda trade: trade.event_time_us)
    return [replace(trade, received_time_us=RECEIVED_US + number) for number, trade in enumerate(passed)]


def in_batches(arrived, count, seed):
    cuts = sorted(random.Random(seed).sample(range(1, len(arrived)), count - 1))
    return [arrived[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(arrived)], strict=True)]


def streamed(spark, folder, batches, source_partitions, shuffle_partitions):
    """The messages of each batch, the query's own versions of its bars."""
    (folder / "in").mkdir()
    for number, batch in enumerate(batches):
        for partition in range(source_partitions):
            path = folder / "in" / f"{number:03}-{partition}.parquet"
            values = [encode(tick) for tick in batch[partition::source_partitions]]
            pl.DataFrame({"value": values}, {"value": pl.Binary}).write_parquet(path)
            os.utime(path, (1e9 + number, 1e9 + number))  # Spark reads files in the order of their times
    told = {}
    spark.conf.set("spark.sql.shuffle.partitions", str(shuffle_partitions))
    source = spark.readStream.schema("value binary").option("maxFilesPerTrigger", source_partitions)
    query = (
        to_messages(make_bars(parse_ticks(source.parquet(str(folder / "in"))), INTERVALS))
        .writeStream.outputMode("update")
        .foreachBatch(lambda frame, number: told.update({number: [row.value.encode() for row in frame.collect()]}))
        .option("checkpointLocation", str(folder / "checkpoint"))
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    assert len(told) == len(batches)
    return [told[number] for number in sorted(told)]


def finals_of(batches, told):
    """What the closer publishes, when it reads each batch's trades and then its bars; in the end all are silent."""
    closer, now, finals = BarCloser(ClosingRules(LATENESS_SECONDS, 1.0), Remembered()), 100.0, []
    for batch, messages in zip(batches, told, strict=True):
        for tick in batch:
            closer.take_tick(tick.symbol, encode(tick), now)
        for message in messages:
            closer.take_bar(message, now)
        for _ in range(2):  # a bar whose time has passed is held for a moment
            finals += closer.due(now)
            now += 1.0
    assert finals or len(batches) == 1
    return [final.bar for final in (*finals, *closer.idle(now + 60, RECEIVED_US + 86_400 * SECOND_US))]


@pytest.mark.parametrize(
    ("seed", "batches", "source_partitions", "shuffle_partitions"),
    [(1, 1, 1, 1), (2, 5, 4, 2), (3, 3, 1, 4), (4, 8, 4, 1)],
)
def test_the_same_bars_and_finals_however_trades_arrive(
    spark, tmp_path, trades, seed, batches, source_partitions, shuffle_partitions
):
    cut = in_batches(arrivals(trades, seed), batches, seed)
    told = streamed(spark, tmp_path, cut, source_partitions, shuffle_partitions)
    newest = {}
    for bar in (decode_bar(message) for messages in told for message in messages):
        key = (bar.interval, bar.symbol, bar.start_us)
        newest[key] = max(bar, newest.get(key, bar), key=lambda version: version.trade_count)
    finals = finals_of(cut, told)
    assert len(finals) == len(newest)
    assert {(bar.final, bar.revision) for bar in finals} == {(True, 0)}
    frame = pl.DataFrame([asdict(trade) for trade in trades])
    for interval in INTERVALS:
        expected = expected_bars(frame, interval.name)
        assert len(expected) > 3
        for bars in (newest.values(), finals):
            made = {(bar.symbol, bar.start_us): asdict(bar) for bar in bars if bar.interval == interval.name}
            assert differences(expected, made) == []
