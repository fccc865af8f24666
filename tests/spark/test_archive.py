"""The archive's transform on Spark: messages in, files out, and Spark as a reader of them."""

import random
from dataclasses import replace

import orjson
import pytest
from prometheus_client import REGISTRY
from pyspark.sql.pandas.types import from_arrow_schema

from closing import bars_of, provisional
from lakes import DAY_US, MINUTE_US, lake_tick, rows_of
from marketstream.contracts.messages import encode
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.lake.datasets import BAR_ROWS, CANCEL_ROWS, TICK_ROWS
from marketstream.lake.store import LakeStore
from marketstream.lake.writing import Written
from marketstream.settings import load_settings
from marketstream.streaming.archive import LakeRecipe, parse_rows, write_lake
from marketstream.streaming.archive_job import ArchiveJob
from marketstream.streaming.bars import make_bars, parse_ticks
from marketstream.streaming.checkpoints import QueryShape
from marketstream.streaming.trigger import Trigger
from stores import make_cancel

pytestmark = pytest.mark.spark

MINUTE = Interval.parse("1min")
MESSAGES = "topic string, value binary"
SYMBOLS = ("A", "EUR/USD", "A=B 50%", "ÄÖ", "0700")


@pytest.fixture
def recipe(tmp_path):
    return LakeRecipe(str(tmp_path / "lake"), 60)


@pytest.fixture
def s3_recipe(spark, s3_lake, s3_environment, monkeypatch):
    """A lake in an object store; Spark's workers have the environment that was there when Spark started."""
    for name, value in s3_environment.items():
        monkeypatch.setitem(spark.sparkContext.environment, name, value)
    return LakeRecipe(s3_lake, 60)


@pytest.fixture
def archive(spark, recipe):
    def take(dataset, messages):
        frame = spark.createDataFrame([(topic, bytearray(value)) for topic, value in messages], MESSAGES).coalesce(1)
        return write_lake(parse_rows(frame, dataset), dataset, recipe)

    return take


def lake_rows(recipe, dataset):
    store = LakeStore.at(recipe.url)
    return [
        row
        for partition in store.partitions(dataset)
        for file in store.files(partition)
        for row in store.read(dataset, file).to_pylist()
    ]


def messages(topic, items):
    return [(topic, encode(item)) for item in items]


def test_ticks_reach_the_lake_once_and_spark_reads_them_by_date_and_symbol(spark, archive, recipe):
    ticks = [lake_tick(number, symbol=symbol) for symbol in SYMBOLS for number in range(0, 1_600, 50)]
    said = messages("tick_data", ticks)
    random.Random(1).shuffle(said)
    assert archive(TICK_ROWS, said[:90]).changed == 90
    assert archive(TICK_ROWS, said[40:] + said[50:60]).changed == len(ticks) - 90
    assert archive(TICK_ROWS, said)[1:] == (0, 0)
    by_key = sorted(ticks, key=lambda tick: (tick.symbol, tick.event_time_us))
    assert sorted(lake_rows(recipe, TICK_ROWS), key=lambda row: (row["symbol"], row["event_time_us"])) == rows_of(
        by_key
    )

    # As the docs tell Spark's users: with the types said, no symbol is taken for a number.
    schema = from_arrow_schema(TICK_ROWS.schema).add("date", "date")
    read = spark.read.schema(schema).parquet(f"{recipe.url}/ticks")
    assert {(row.symbol, row.event_time_us, row.trade_id) for row in read.collect()} == {
        (tick.symbol, tick.event_time_us, tick.trade_id) for tick in ticks
    }
    chosen = read.where("date = '2023-11-16' and symbol = 'A=B 50%'")
    assert chosen.count() == sum(t.symbol == "A=B 50%" and t.event_time_us >= DAY_US + 1_440 * MINUTE_US for t in ticks)


@pytest.mark.servers
def test_sparks_workers_write_into_an_object_store(spark, s3_recipe):
    ticks = [lake_tick(number, symbol=symbol) for symbol in SYMBOLS[:3] for number in range(0, 200, 20)]
    cancels = [make_cancel(tick) for tick in ticks[:2]]
    (bar,) = bars_of([lake_tick(0)], MINUTE).values()
    said = messages("tick_data", ticks) + messages("trade_cancels", cancels) + messages("aggregated_data_1min", [bar])
    frame = spark.createDataFrame([(topic, bytearray(value)) for topic, value in said], MESSAGES)
    for new in (True, False):
        for dataset, items in ((TICK_ROWS, ticks), (CANCEL_ROWS, cancels), (BAR_ROWS, [bar])):
            written = write_lake(parse_rows(frame, dataset), dataset, s3_recipe)
            assert (written.rows, written.changed) == (len(items), len(items) * new)
    by_key = sorted(ticks, key=lambda tick: (tick.symbol, tick.event_time_us))
    assert sorted(lake_rows(s3_recipe, TICK_ROWS), key=lambda row: (row["symbol"], row["event_time_us"])) == rows_of(
        by_key
    )


def test_what_is_no_tick_is_left_out(archive, recipe):
    good = orjson.loads(encode(lake_tick(1)))
    bad = [
        b"not json",
        b"[]",
        b"{}",
        *(
            orjson.dumps(good | change)
            for change in (
                {"price": None}, {"price": -1}, {"size": "much"}, {"symbol": ""}, {"symbol": "A" * 65},
                {"event_time_us": -1}, {"event_time_us": 2**62}, {"trade_id": ""}, {"sequence": -1},
            )
        ),
    ]  # fmt: skip
    older = {name: value for name, value in good.items() if name not in ("conditions", "exchange", "asset_class")}
    said = [("tick_data", value) for value in [*bad, orjson.dumps(older)]] + [("quote_data", orjson.dumps(good))]
    assert archive(TICK_ROWS, said) == Written(1, 1, 1)
    (row,) = lake_rows(recipe, TICK_ROWS)
    assert (row["conditions"], row["exchange"], row["asset_class"]) == ([], None, "equity")


@pytest.mark.parametrize(
    "change",
    [
        {"received_time_us": -1},
        {"asset_class": "stone"},
        {"side": "both"},
        {"trade_id": "a\0"},
        {"exchange": "\0"},
        {"conditions": ["@", "\0"]},
        {"conditions": [None]},
        {"symbol": "\U00010348" * 63},  # a folder's name of more bytes than there may be
    ],
)
def test_what_no_writer_takes_is_left_out(change, archive, recipe):
    good = orjson.loads(encode(lake_tick(1)))
    assert archive(TICK_ROWS, [("tick_data", orjson.dumps(good | change))]).rows == 0
    assert archive(TICK_ROWS, [("tick_data", orjson.dumps(good))]).rows == 1


def test_a_long_symbol_that_fits_is_kept(archive, recipe):
    symbol = "\U00010348" * 62
    assert archive(TICK_ROWS, messages("tick_data", [lake_tick(1, symbol=symbol)])).changed == 1
    assert [row["symbol"] for row in lake_rows(recipe, TICK_ROWS)] == [symbol]


def test_a_foreign_bar_is_left_out_and_stops_nothing(archive, recipe):
    (bar,) = bars_of([lake_tick(0)], MINUTE).values()
    ours, theirs = rows_of([bar, replace(bar, provider="fmp", trade_count=0, start_us=bar.start_us - MINUTE_US)])
    good = [("aggregated_data_1min", ours), ("provider_bars", theirs)]
    bad = [
        ("provider_bars", theirs | {"interval": "7min"}),
        ("provider_bars", theirs | {"interval": "60s"}),
        ("provider_bars", theirs | {"interval": "../x"}),
        ("provider_bars", theirs | {"provider": ""}),
        ("provider_bars", theirs | {"cancelled": 1}),
        ("provider_bars", ours),
        ("aggregated_data_1min", theirs),
        ("aggregated_data_5min", ours),
        ("aggregated_data_1min", ours | {"interval": "5min"}),
        ("aggregated_data_1min", ours | {"vwap": None}),
        ("aggregated_data_1min", ours | {"trade_count": 0}),
        ("aggregated_data_1min", ours | {"trade_count": 2**63 - 1, "cancelled": 2**63 - 1}),
        ("aggregated_data_1min", ours | {"high": ours["low"] - 1}),
        ("aggregated_data_1min", ours | {"end_us": ours["start_us"]}),
        ("aggregated_data_1min", ours | {"volume": -1.0}),
    ]
    raw = [("aggregated_data_1min", encode(bar).replace(b'"high":100.0', b'"high":NaN'))]
    assert raw[0][1] != encode(bar)
    said = [(topic, orjson.dumps(row)) for topic, row in bad + good]
    assert archive(BAR_ROWS, raw + said) == Written(2, 2, 2)
    assert sorted(row["provider"] or "" for row in lake_rows(recipe, BAR_ROWS)) == ["", "fmp"]


def test_a_batch_counts_what_was_left_out(spark, tmp_path):
    settings = load_settings(data_dir=tmp_path)
    shape = QueryShape(1, "microbatch", ("1min",), 0, 0, "")
    job = ArchiveJob(settings, Trigger.micro_batches("1 minute", "ARCHIVE__TRIGGER"), shape, ())
    tick = lake_tick(1)
    said = [
        *messages("tick_data", [tick, tick, lake_tick(2, symbol="\U00010348" * 63)]),
        ("tick_data", b"no tick"),
        ("provider_bars", b"{}"),
        *messages("trade_cancels", [make_cancel(tick)]),
    ]
    before = undecodable()
    job.take(spark.createDataFrame([(topic, bytearray(value)) for topic, value in said], MESSAGES), 0)
    assert undecodable() - before == 3
    assert len(lake_rows(LakeRecipe(settings.lake_url, 60), TICK_ROWS)) == 1


def undecodable():
    labels = {"query": "archive", "what": "undecodable"}
    return REGISTRY.get_sample_value("marketstream_query_observed_rows_total", labels) or 0


def test_of_every_bar_the_newest_version_is_kept_of_ours_and_of_providers(archive, recipe):
    ticks = [lake_tick(number, at_us=DAY_US + number * MINUTE_US // 5) for number in range(40)]
    versions = provisional(ticks, MINUTE)
    newest = bars_of(ticks, MINUTE)
    final = replace(newest[DAY_US], final=True)
    theirs = Bar(
        **{name: getattr(final, name) for name in Bar.__slots__} | {"provider": "fmp", "trade_count": 0, "revision": 9}
    )
    elsewhere = replace(theirs, start_us=DAY_US - MINUTE_US, end_us=DAY_US)
    said = messages("aggregated_data_1min", [*versions, final]) + messages("provider_bars", [theirs, elsewhere])
    random.Random(2).shuffle(said)
    archive(BAR_ROWS, said[: len(said) // 2])
    archive(BAR_ROWS, said[len(said) // 3 :])
    assert archive(BAR_ROWS, said).changed == 0
    kept = {row["start_us"]: Bar(**row) for row in lake_rows(recipe, BAR_ROWS)}
    assert kept == newest | {DAY_US: final, DAY_US - MINUTE_US: elsewhere}


def test_cancels_are_kept_too(archive, recipe):
    cancel = {"symbol": "A", "price": 1.0, "size": 2.0, "event_time_us": DAY_US, "received_time_us": 1, "provider": "x"}
    said = [("trade_cancels", orjson.dumps(cancel)), ("trade_cancels", orjson.dumps(cancel | {"trade_id": "7"}))]
    assert archive(CANCEL_ROWS, said * 2).changed == 2
    assert [row["trade_id"] for row in lake_rows(recipe, CANCEL_ROWS)] == [None, "7"]


def test_bars_made_of_the_lake_are_those_made_of_the_topic(spark, archive, recipe):
    ticks = [lake_tick(number, at_us=DAY_US + number * 700_000, symbol=SYMBOLS[number % 3]) for number in range(2_000)]
    said = messages("tick_data", ticks)
    archive(TICK_ROWS, said + said[:500])
    paths = lake_files(recipe)
    from_lake = spark.read.schema(from_arrow_schema(TICK_ROWS.schema)).parquet(*paths)
    streamed = parse_ticks(spark.createDataFrame([(bytearray(value),) for _, value in said], "value binary"))
    intervals = tuple(map(Interval.parse, ("10s", "5min")))
    made = {Bar(**row.asDict()) for row in make_bars(from_lake, intervals).collect()}
    assert made == {Bar(**row.asDict()) for row in make_bars(streamed, intervals).collect()}
    assert len(made) > 300


def lake_files(recipe):
    store = LakeStore.at(recipe.url)
    return [store.path(f.path) for p in store.partitions(TICK_ROWS) for f in store.files(p)]
