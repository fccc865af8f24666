import pickle
import random
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from lakes import DAY_US, MINUTE_US, archive_ticks, lake_tick, rows_of
from marketstream.domain.errors import ConfigurationError, StoreError
from marketstream.domain.interval import Interval
from marketstream.domain.market import Bar
from marketstream.lake.datasets import BAR_ROWS, CANCEL_ROWS, TICK_ROWS
from marketstream.lake.merge import bars_of, bars_table
from marketstream.lake.places import Partition, Span, date_of
from marketstream.lake.store import LakeStore
from marketstream.lake.writing import write_rows
from marketstream.testing.samples import sample_bars

DAY = date_of(DAY_US)
TICKS = Partition("ticks", "", DAY, "A")
BARS = Partition("bars", "1min", DAY, "A")


@pytest.fixture
def store(lake_url):
    return LakeStore.at(lake_url)


def stored(store, dataset, partition):
    return [row for file in store.files(partition) for row in store.read(dataset, file).to_pylist()]


def bar_of(ticks):
    (bar,) = sample_bars(ticks, Interval.parse("1min"))
    return bar


def write_bars(store, *bars):
    return write_rows(store, BAR_ROWS, BARS, bars_table(bars), 60)


def test_any_batches_in_any_order_and_more_than_once_leave_the_same_rows(store):
    ticks = [lake_tick(number // 2, at_us=DAY_US + number // 2 * MINUTE_US // 3) for number in range(800)]
    chosen = random.Random(3)
    for _ in range(12):
        archive_ticks(store, chosen.sample(ticks, 120))
    archive_ticks(store, ticks)
    assert stored(store, TICK_ROWS, TICKS) == rows_of(sorted(set(ticks), key=lambda tick: tick.order))
    assert [file.span for file in store.files(TICKS)] == [Span(0, 60), Span(60, 120), Span(120, 180)]


def test_a_replay_writes_no_file(store):
    ticks = [lake_tick(number) for number in range(90)]
    assert [(written.changed, written.files) for written in archive_ticks(store, ticks)] == [(90, 2)]
    paths = [store.path(file.path) for file in store.files(TICKS)]
    before = store.filesystem.get_file_info(paths)
    assert [(written.changed, written.files) for written in archive_ticks(store, ticks)] == [(0, 0)]
    after = store.filesystem.get_file_info(paths)
    assert [(info.mtime_ns, info.size) for info in after] == [(info.mtime_ns, info.size) for info in before]


def test_the_first_of_two_equal_keys_stays(store):
    archive_ticks(store, [lake_tick(1)])
    archive_ticks(store, [replace(lake_tick(1), price=99.0)])
    assert stored(store, TICK_ROWS, TICKS) == rows_of([lake_tick(1)])


def test_cancels_without_a_trade_id_are_kept_once(store):
    row = {"symbol": "A", "price": 1.0, "size": 2.0, "event_time_us": DAY_US, "received_time_us": 1, "provider": "fmp"}
    table = pa.Table.from_pylist([row, row, {**row, "size": 3.0}])
    partition = Partition("cancels", "", DAY, "A")
    assert [write_rows(store, CANCEL_ROWS, partition, table, 60).changed for _ in range(2)] == [2, 0]
    assert [row["size"] for row in stored(store, CANCEL_ROWS, partition)] == [2.0, 3.0]


def test_of_a_bar_the_newest_version_stays(store):
    ticks = [lake_tick(number, at_us=DAY_US + number) for number in range(9)]
    older, newer = bar_of(ticks[:4]), bar_of(ticks)
    provider = replace(older, provider="fmp", trade_count=10**6, revision=10**15)
    write_bars(store, newer, older, provider)
    assert [write_bars(store, bar).changed for bar in (older, newer, provider)] == [0, 0, 0]
    assert list(bars_of(pa.Table.from_pylist(stored(store, BAR_ROWS, BARS), BAR_ROWS.schema))) == [newer]
    final = replace(newer, final=True)
    assert write_bars(store, newer, final).changed == 1
    assert [row["final"] for row in stored(store, BAR_ROWS, BARS)] == [True]


def test_it_is_the_same_in_sparks_workers_which_get_a_copy_of_the_dataset(store):
    ticks = [lake_tick(number, at_us=DAY_US + number) for number in range(9)]
    copied = pickle.loads(pickle.dumps(BAR_ROWS))  # noqa: S301  # just made
    for bar in (bar_of(ticks[:4]), bar_of(ticks)):
        assert write_rows(store, copied, BARS, bars_table([bar]), 60).changed == 1
    assert [row["trade_count"] for row in stored(store, BAR_ROWS, BARS)] == [9]


def test_what_is_no_bar_is_left_out(store):
    bar = bar_of([lake_tick(0)])
    wrong = bars_table([bar]).to_pylist()[0] | {"low": bar.high + 1, "start_us": bar.start_us}
    rows = pa.Table.from_pylist([wrong, *bars_table([bar]).to_pylist()], BAR_ROWS.schema)
    assert write_rows(store, BAR_ROWS, BARS, rows, 60).changed == 1


def test_bars_of_seconds_are_divided_by_the_hour_others_by_the_day(store):
    bars = [bar_of([lake_tick(number)]) for number in (0, 70)]
    write_bars(store, *bars)
    assert [file.span for file in store.files(BARS)] == [Span(0, 1_440)]
    seconds = Partition("bars", "10s", DAY, "A")
    write_rows(store, BAR_ROWS, seconds, bars_table([replace(bar, interval="10s") for bar in bars]), 60)
    assert [file.span for file in store.files(seconds)] == [Span(0, 60), Span(60, 120)]


def test_an_older_file_without_a_column_gets_its_default(store):
    archive_ticks(store, [lake_tick(0)])
    (file,) = store.files(TICKS)
    older = store.read(TICK_ROWS, file).drop_columns(["conditions", "exchange", "sequence"])
    pq.write_table(older, store.path(file.path), filesystem=store.filesystem)
    archive_ticks(store, [lake_tick(1)])
    rows = stored(store, TICK_ROWS, TICKS)
    assert [(row["conditions"], row["exchange"], row["sequence"]) for row in rows] == [
        ([], None, 0),
        (["@", "T"], None, 1),
    ]


def test_what_a_killed_writer_left_is_cleared_away(store):
    archive_ticks(store, [lake_tick(0)])
    left = store.path("_staging", TICKS.path, "abc.tmp")
    store.filesystem.create_dir(left.rpartition("/")[0])
    with store.filesystem.open_output_stream(left) as stream:
        stream.write(b"PAR1")
    archive_ticks(store, [lake_tick(1)])
    assert stored(store, TICK_ROWS, TICKS) == rows_of([lake_tick(0), lake_tick(1)])
    assert [file.span for file in store.files(TICKS)] == [Span(0, 60)]
    assert store.filesystem.get_file_info(left).type == fs.FileType.NotFound


def test_rows_whose_symbol_can_name_no_folder_are_left_out(store):
    symbol = "\U00010348" * 63
    assert archive_ticks(store, [lake_tick(0, symbol=symbol)]) == [(0, 0, 0)]
    assert store.files(Partition("ticks", "", DAY, symbol)) == []


def test_a_write_that_fails_leaves_the_file_as_it_was(store):
    archive_ticks(store, [lake_tick(0)])
    (file,) = store.files(TICKS)

    def broken():
        yield TICK_ROWS.schema.empty_table()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.write(file.path, TICK_ROWS.schema, broken())
    assert stored(store, TICK_ROWS, TICKS) == rows_of([lake_tick(0)])


@pytest.mark.parametrize(
    "url", ["nowhere://bucket/lake", "abfs://container@account.dfs.core.windows.net/lake", "hdfs://host:8020/lake"]
)
def test_a_place_that_is_none_or_takes_a_file_away_before_its_successor_is_there_is_refused(url):
    with pytest.raises(ConfigurationError, match=r"ARCHIVE__URL.*in one step"):
        LakeStore.at(url)


@pytest.mark.parametrize("url", ["s3://", "s3a:///lake", "gs://?anonymous=true"])
def test_an_object_stores_url_needs_a_bucket(url):
    with pytest.raises(ConfigurationError, match="names no bucket"):
        LakeStore.at(url)


def test_keys_in_a_url_are_refused_and_not_repeated():
    with pytest.raises(ConfigurationError, match="AWS_SECRET_ACCESS_KEY") as refused:
        LakeStore.at("s3://somebody:secret@bucket/lake")
    assert "secret@" not in str(refused.value)


@pytest.mark.servers
def test_an_object_stores_address_may_be_in_the_url(s3_lake, s3_environment, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    address = s3_environment["AWS_ENDPOINT_URL"].removeprefix("http://")
    store = LakeStore.at(f"{s3_lake}?scheme=http&endpoint_override={address}")
    archive_ticks(store, [lake_tick(0)])
    assert stored(store, TICK_ROWS, TICKS) == rows_of([lake_tick(0)])


@pytest.mark.servers
def test_a_bucket_that_is_not_there_is_a_fault_of_the_store(s3_environment):
    store = LakeStore.at("s3://nobodys-bucket/lake")
    with pytest.raises(StoreError, match=r"nobodys-bucket.*does not exist"):
        archive_ticks(store, [lake_tick(0)])


@pytest.mark.servers
def test_who_has_no_right_to_an_object_store_is_told(s3_lake, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    store = LakeStore.at(s3_lake)
    for attempt in (lambda: list(store.partitions(TICK_ROWS)), lambda: archive_ticks(store, [lake_tick(0)])):
        with pytest.raises(StoreError, match="data lake"):
            attempt()


def test_a_folder_may_be_said_as_a_url(tmp_path):
    assert LakeStore.at(f"file://{tmp_path}/lake").path("ticks") == f"{tmp_path}/lake/ticks"


def test_a_bar_needs_every_field_of_its_type():
    assert set(BAR_ROWS.schema.names) == set(Bar.__slots__)
