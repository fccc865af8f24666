"""What a rebuild reads from the lake before Spark does, from a folder and from an object store."""

import pyarrow.parquet as pq
import pytest

from lakes import DAY_US, archive_cancels, archive_ticks, lake_tick, rows_of
from marketstream.domain.errors import StoreError
from marketstream.domain.market import Tick
from marketstream.lake.datasets import TICK_ROWS
from marketstream.lake.places import date_of
from marketstream.lake.store import LakeStore
from marketstream.streaming.rebuild_cancels import lake_cancels
from marketstream.streaming.rebuild_ticks import LakeReach, TickRestorer, day_files, lake_day
from stores import make_cancel

DAY = date_of(DAY_US)
SYMBOLS = ("A", "EUR/USD", "50%")


@pytest.fixture
def ticks(lake):
    made = [lake_tick(number, symbol=symbol) for symbol in SYMBOLS for number in range(0, 1_800, 200)]
    archive_ticks(lake, made)
    archive_cancels(lake, make_cancel(made[0]), make_cancel(made[-1]))
    return made


@pytest.fixture
def lake(lake_url):
    return LakeStore.at(lake_url)


class NoneKnown:
    """A table without ticks."""

    def known(self, *_):
        return set()


def of_day(ticks, *symbols):
    return [tick for tick in ticks if date_of(tick.event_time_us) == DAY and tick.symbol in symbols]


@pytest.mark.parametrize("symbols", [(), ("EUR/USD",)])
def test_a_days_trades_are_files_for_spark(lake, ticks, symbols):
    with lake_day(lake, symbols, DAY) as files:
        rows = [row for path in files for row in pq.read_table(path, partitioning=None).to_pylist()]
    expected = rows_of(of_day(ticks, *(symbols or SYMBOLS)))
    assert sorted(rows, key=lambda row: (row["symbol"], row["event_time_us"])) == sorted(
        expected, key=lambda row: (row["symbol"], row["event_time_us"])
    )


def test_a_days_cancels_are_found(lake, ticks):
    assert list(lake_cancels(lake, (), DAY)) == [make_cancel(ticks[0])]
    assert list(lake_cancels(lake, ("EUR/USD",), DAY)) == []


def test_the_newest_trade_of_each_symbol_is_known(lake, ticks):
    reach = LakeReach(lake, DAY)
    assert [reach.newest_us(symbol) for symbol in (*SYMBOLS, "B")] == [ticks[-1].event_time_us] * 3 + [0]


def test_trades_that_the_table_lacks_are_found(lake, ticks):
    restorer = TickRestorer(lake, NoneKnown(), writer=None)
    found: list[Tick] = [tick for part in restorer.missing(("50%",), DAY) for tick in part]
    assert found == of_day(ticks, "50%")


@pytest.mark.servers
def test_a_file_that_cannot_be_copied_is_a_fault_of_the_store(s3_lake, monkeypatch):
    lake = LakeStore.at(s3_lake)
    archive_ticks(lake, [lake_tick(0)])
    files = list(day_files(lake, TICK_ROWS, (), DAY))
    monkeypatch.setattr("marketstream.streaming.rebuild_ticks.day_files", lambda *_: iter(files))
    lake.filesystem.delete_file(lake.path(files[0].path))
    with pytest.raises(StoreError, match="data lake"), lake_day(lake, (), DAY):
        pass
