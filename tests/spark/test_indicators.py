"""The indicators query, streamed, against TA-Lib and the formulas; in pieces, over partitions, and over restarts."""

import os
import random
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pyspark import cloudpickle
from pyspark.errors import StreamingQueryException

from indicator_cases import DEFAULT, MINUTE_US, RELATIVE, deviations, expected, price_bar, recorded, utc_days, walk
from marketstream.analytics.sessions import Session
from marketstream.bootstrap import BarArchive
from marketstream.contracts.messages import QueryWake, decode_bar, decode_indicators, encode
from marketstream.contracts.topics import QUERY_WAKES
from marketstream.domain.errors import StoreUnavailableError
from marketstream.domain.interval import Interval
from marketstream.settings import PostgresSettings
from marketstream.streaming.indicators import IndicatorRecipe, make_indicators, to_messages
from marketstream.testing.fake_readers import InMemoryMarketReader
from marketstream.testing.platform import eventually

pytestmark = pytest.mark.spark

DATA = Path(__file__).parents[3] / "shared" / "data"
RECIPE = IndicatorRecipe(DEFAULT, lateness_us=10_000_000)
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Spark's workers can't import a test
MESSAGES = "topic string, key string, value binary"
NEW_YORK = Session(1_381_152_600_000_000, 1_381_176_000_000_000)  # 2013-10-07, 9:30 to 16:00


@dataclass(frozen=True)
class Recorded:
    """Past bars for the workers, which are other processes."""

    bars: tuple

    def __call__(self):
        return InMemoryMarketReader(bars=self.bars)


@dataclass(frozen=True)
class Away:
    """A database that is not there."""

    def __call__(self):
        reader = InMemoryMarketReader()
        reader.available = False
        return reader


@dataclass(frozen=True)
class Growing:
    """Past bars as far as a file has them now."""

    path: Path

    def __call__(self):
        return self

    def bars(self, *key, **bounds):
        bars = map(decode_bar, self.path.read_bytes().splitlines())
        return InMemoryMarketReader(bars=bars).bars(*key, **bounds)

    def write(self, bars):
        self.path.write_bytes(b"\n".join(map(encode, bars)))


class Stream:
    """Runs the query over files of messages, each a batch, on one checkpoint."""

    def __init__(self, spark, folder, recipe=RECIPE, partitions=2):
        self.spark, self.folder, self.recipe, self.partitions = spark, folder, recipe, partitions
        self.files, self.observed, self.rows = 0, [], []
        (folder / "in").mkdir(parents=True)

    def run(self, *batches):
        for batch in batches:
            rows = [message if isinstance(message, tuple) else message_of(message) for message in batch]
            path = self.folder / "in" / f"{self.files:04}.parquet"
            columns = {"topic": pl.String, "key": pl.String, "value": pl.Binary}
            pl.DataFrame(rows, columns, orient="row").write_parquet(path)
            os.utime(path, (1e9 + self.files, 1e9 + self.files))  # Spark reads files in the order of their times
            self.files += 1
        self.spark.conf.set("spark.sql.shuffle.partitions", str(self.partitions))
        query = self._ended()
        self.observed += [progress["observedMetrics"] for progress in query.recentProgress]
        return self

    def _ended(self, attempts=5):
        query = self._start()
        try:
            query.awaitTermination()
        except StreamingQueryException as error:
            # Before the first batch, and on a machine so busy that Python took longer to start than Spark's fixed 10 s.
            if attempts == 1 or "failed to connect back" not in str(error):
                raise
            return self._ended(attempts - 1)
        return query

    def _start(self):
        source = self.spark.readStream.schema(MESSAGES).option("maxFilesPerTrigger", 1).parquet(str(self.folder / "in"))
        return (
            to_messages(make_indicators(source, self.recipe))
            .writeStream.outputMode("update")
            .foreachBatch(lambda frame, _: self.rows.extend(frame.collect()))
            .option("checkpointLocation", str(self.folder / "checkpoint"))
            .trigger(availableNow=True)
            .start()
        )

    @property
    def told(self):
        return [decode_indicators(bytes(row.value)) for row in self.rows]

    @property
    def kept(self):
        """What a store that never goes backwards keeps."""
        kept = {}
        for one in self.told:
            key = (one.symbol, one.interval, one.start_us)
            if key not in kept or one.version >= kept[key].version:
                kept[key] = one
        return kept


def message_of(bar):
    topic = "provider_bars" if bar.provider else f"aggregated_data_{bar.interval}"
    return topic, bar.symbol, encode(bar)


def as_streamed(series):
    """Bars of all series as they would come: open versions first, finals when the next bar has begun, interleaved."""
    chance = random.Random(3)
    messages = []
    for bars in series:
        for bar in bars:
            made = replace(bar, provider=None, vwap=bar.vwap or (bar.high + bar.low + bar.close) / 3, trade_count=2)
            made = replace(made, final=True, last_event_time_us=bar.end_us - 1)
            opened = replace(made, final=False, trade_count=1, close=bar.open, high=bar.open, low=bar.open)
            length = bar.end_us - bar.start_us
            messages.append((bar.start_us + length // 4, opened))
            messages.append((bar.end_us - 1, replace(made, final=False)))
            messages.append((bar.end_us + int(length * chance.random() * 1.5), made))
    return [message for _, message in sorted(messages, key=lambda one: one[0])]


def in_pieces(messages, pieces):
    cuts = sorted(random.Random(9).sample(range(1, len(messages)), pieces - 1))
    return [messages[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(messages)], strict=True)]


def series_of(kept, bars):
    """Every value of these bars; NaN where absent."""
    found = {name: np.full(len(bars), np.nan) for name in DEFAULT.names}
    for at, bar in enumerate(bars):
        one = kept[bar.symbol, bar.interval, bar.start_us]
        assert one.final
        for name, value in one.values.items():
            found[name][at] = value
    return found


def assert_equal_to_oracle(kept, bars, sessions):
    found = deviations(series_of(kept, bars), expected(bars, sessions))
    assert {name: deviation for name, deviation in found.items() if deviation > RELATIVE} == {}


def recording(name):
    if not (path := DATA / name).exists():
        pytest.skip(f"the recording {name} is not in ../shared/data")
    return path


def shares(trades, symbol, interval):
    length = Interval.parse(interval)
    start = (pl.col("event_time_us") // length.us * length.us).alias("start_us")
    price, size = pl.col("price"), pl.col("size").cast(pl.Float64)
    frame = trades.filter(pl.col("symbol") == symbol).sort("event_time_us", "sequence")
    prices = {"open": price.first(), "high": price.max(), "low": price.min(), "close": price.last()}
    bars = frame.group_by(start, maintain_order=True).agg(
        **prices, volume=size.sum(), vwap=(price * size).sum() / size.sum()
    )
    return [replace(bar, symbol=symbol) for bar in recorded(bars, length)]


def test_generated_bars_in_pieces_over_partitions_and_over_restarts(spark, tmp_path):
    series = [walk(260), [replace(bar, symbol="ETHUSDT") for bar in walk(260, seed=2)]]
    messages = as_streamed(series)
    whole = Stream(spark, tmp_path / "whole", partitions=1).run(messages)
    pieces = in_pieces(messages, 4)
    cut = Stream(spark, tmp_path / "cut").run(*pieces[:2]).run(*pieces[2:])  # each run a query of its own
    assert {key: one for key, one in cut.kept.items() if whole.kept.get(key) != one} == {}
    assert cut.kept.keys() == whole.kept.keys()
    for bars in series:
        assert_equal_to_oracle(whole.kept, bars, utc_days(bars))
    finals = [one for one in cut.told if one.final]
    assert len(finals) == len({(one.symbol, one.start_us) for one in finals}) == 520
    assert {"told", "stale", "undecodable"} == cut.observed[-1]["technical_indicators"].asDict().keys()


def test_recorded_shares(spark, tmp_path):
    trades = pl.read_csv(recording("us_equity_trades_20131007.csv.gz"))
    series = [shares(trades, symbol, interval) for symbol in ("IBM", "BAC") for interval in ("10s", "1min")]
    stream = Stream(spark, tmp_path / "shares").run(*in_pieces(as_streamed(series), 3))
    for bars in series:
        assert_equal_to_oracle(stream.kept, bars, [NEW_YORK])


def test_recorded_bitcoin(spark, tmp_path):
    timestamp = pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC")
    frame = pl.read_csv(recording("btc_perp_1min_202201.csv.gz")).with_columns(start_us=timestamp.cast(pl.Int64))
    bars = recorded(frame.head(6_000), Interval.parse("1min"))
    stream = Stream(spark, tmp_path / "bitcoin").run(*in_pieces(as_streamed([bars]), 2))
    assert_equal_to_oracle(stream.kept, bars, utc_days(bars))


def test_history_warms_what_is_new_and_previews_equal_finals(spark, tmp_path):
    bars = walk(600, seed=4)
    made = [replace(bar, last_event_time_us=bar.end_us - 1) for bar in bars]
    recipe = replace(RECIPE, history=Recorded(tuple(made)))
    opened = [replace(bar, final=False) for bar in made[590:]]
    stream = Stream(spark, tmp_path / "warm", recipe).run(opened, made[590:])
    previews = {one.start_us: one.values for one in stream.told if not one.final}
    finals = {one.start_us: one.values for one in stream.told if one.final}
    assert previews == finals
    assert len(finals) == 10
    # What came before the whole series would matter to the averages' last digits, and the history has all of it.
    assert_equal_to_oracle(stream.kept | cold_part(bars[:590]), bars, utc_days(bars))


def test_a_bar_revised_long_after_it_closed_is_counted_anew_from_the_database(spark, tmp_path):
    bars = [replace(bar, last_event_time_us=bar.end_us - 1) for bar in walk(640, seed=6)]
    revision = replace(bars[615], trade_count=2, revision=1, close=bars[615].high)
    final = [*bars[:615], revision, *bars[616:]]
    recipe = replace(RECIPE, history=Recorded(tuple(final)))
    stream = Stream(spark, tmp_path / "revised", recipe).run(bars[600:630], [revision], bars[630:])
    assert len([one for one in stream.told if one.start_us == bars[620].start_us]) == 2
    assert_equal_to_oracle(stream.kept | cold_part(bars[:600]), final, utc_days(final))
    assert not any(observed["technical_indicators"].stale for observed in stream.observed)


def test_a_void_bar_that_waits_alone_and_a_revision_before_it(spark, tmp_path):
    bars = [replace(bar, last_event_time_us=bar.end_us - 1) for bar in walk(640, seed=8)]
    revision = replace(bars[615], trade_count=2, revision=1, close=bars[615].high)
    void = replace(bars[629], trade_count=0, cancelled=1, volume=0.0, revision=1)
    final = [*bars[:615], revision, *bars[616:629], *bars[630:]]
    recipe = replace(RECIPE, history=Recorded(tuple(bars)))
    stream = Stream(spark, tmp_path / "void", recipe).run(bars[600:630], [void, revision], bars[630:])
    assert_equal_to_oracle(stream.kept | cold_part(bars[:600]), final, utc_days(final))


def test_a_database_that_is_behind_at_the_start_is_asked_again_and_all_is_told_anew(spark, tmp_path):
    bars = [replace(bar, last_event_time_us=bar.end_us - 1) for bar in walk(640, seed=7)]
    recipe = replace(RECIPE, history=Growing(tmp_path / "stored"))
    recipe.history.write(bars[:580])  # and what comes begins with the 600th
    stream = Stream(spark, tmp_path / "behind", recipe).run(bars[600:620])
    assert not any({"ema_12", "rsi_14", "atr_14"} & one.values.keys() for one in stream.told)
    recipe.history.write(bars[:620])  # what came before, and not yet what comes now
    stream.run(bars[620:])
    assert_equal_to_oracle(stream.kept | cold_part(bars[:600]), bars, utc_days(bars))


def test_a_database_that_is_behind_is_asked_again_though_nothing_more_comes(spark, tmp_path):
    bars = [replace(bar, last_event_time_us=bar.end_us - 1) for bar in walk(640, seed=9)]
    recipe = replace(RECIPE, history=Growing(tmp_path / "stored"))
    recipe.history.write(bars[:580])
    stream = Stream(spark, tmp_path / "silent", recipe).run(bars[600:])
    wake = (QUERY_WAKES, "indicators", encode(QueryWake(query="indicators", time_us=0)))

    def woken():
        before = len(stream.told)
        stream.run([wake])
        return len(stream.told) - before

    assert woken() == 0  # still behind
    recipe.history.write(bars)
    told = eventually(lambda: woken() or None, within_seconds=120, what="what is due to be told")
    assert told == 40
    assert_equal_to_oracle(stream.kept | cold_part(bars[:600]), bars, utc_days(bars))
    time.sleep(11)  # longer than a timer takes
    assert woken() == 0
    assert stream.observed[-1]["technical_indicators"].undecodable in (None, 0)


def cold_part(bars):
    """The first bars' indicators, which are not what is tested."""
    from marketstream.analytics.live import LiveIndicators
    from marketstream.analytics.sessions import UtcDays

    told = LiveIndicators(DEFAULT, UtcDays(), 0).take(bars)
    return {(one.symbol, one.interval, one.start_us): one for one in told}


@pytest.mark.parametrize("history", [Away(), BarArchive(PostgresSettings(port=1))])
def test_without_the_database_values_are_absent_until_there_are_enough_bars(spark, tmp_path, history):
    with pytest.raises(StoreUnavailableError):
        history().bars("BTCUSDT", Interval.parse("1min"), start_us=None, end_us=None, limit=1)
    stream = Stream(spark, tmp_path / "cold", replace(RECIPE, history=history)).run(walk(25))
    told = sorted(stream.told, key=lambda one: one.start_us)
    assert ["sma_20" in one.values for one in told] == [False] * 19 + [True] * 6
    assert not any({"ema_12", "rsi_14", "atr_14"} & one.values.keys() for one in told)  # they would go on from any past


def test_what_is_no_bar_of_its_key_is_counted_and_left_out(spark, tmp_path):
    bar = price_bar(5, 10.0)
    old = price_bar(1, 10.0)
    topic, key, value = message_of(bar)
    wrong = [
        (topic, key, b"garbage"),
        (topic, "ETHUSDT", value),
        ("aggregated_data_5min", key, value),
        ("provider_bars", key, b'{"interval":"7min"}'),
        ("provider_bars", key, b"{}"),
        (topic, None, value),
    ]
    later = [price_bar(at, 10.0, last_event_time_us=at * MINUTE_US + 30_000_000) for at in (6, 7)]
    provided = replace(bar, symbol="ETHUSDT", provider="p", trade_count=0)
    stream = Stream(spark, tmp_path / "wrong").run([*wrong, bar, *later, provided], [old])
    assert {(one.symbol, one.start_us) for one in stream.told} == {
        *(("BTCUSDT", at * MINUTE_US) for at in (5, 6, 7)),
        ("ETHUSDT", 5 * MINUTE_US),
    }
    counts = [observed["technical_indicators"].asDict() for observed in stream.observed]
    assert counts == [{"told": 4, "stale": 0, "undecodable": 5}, {"told": 0, "stale": 1, "undecodable": 0}]
