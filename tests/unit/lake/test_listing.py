from datetime import date

import pyarrow as pa
from pyarrow import fs
from typer.testing import CliRunner

from lakes import DAY_US, archive_ticks, lake_tick
from marketstream.cli import app
from marketstream.domain.interval import Interval
from marketstream.lake.datasets import BAR_ROWS
from marketstream.lake.listing import days
from marketstream.lake.merge import bars_table
from marketstream.lake.places import Partition, date_of
from marketstream.lake.store import LakeStore
from marketstream.lake.writing import write_rows
from marketstream.testing.samples import sample_bars

DAY = date_of(DAY_US)


def filled(url):
    store = LakeStore.at(url)
    archive_ticks(store, [lake_tick(number, symbol=symbol) for symbol in "AB" for number in range(0, 1_600, 20)])
    bars: pa.Table = bars_table(sample_bars([lake_tick(0)], Interval.parse("1min")))
    write_rows(store, BAR_ROWS, Partition("bars", "1min", DAY, "A"), bars, 60)
    return store


def test_days_tell_rows_files_and_bytes(lake_url):
    store = filled(lake_url)
    found = list(days(store, date.min, date.max))
    assert [(each.dataset, each.day.day, each.symbols, each.rows, each.files) for each in found] == [
        ("ticks", 15, 2, 144, 48),
        ("ticks", 16, 2, 16, 6),
        ("bars 1min", 15, 1, 1, 1),
    ]
    there = store.filesystem.get_file_info(fs.FileSelector(store.root, recursive=True))
    assert sum(each.bytes for each in found) == sum(info.size for info in there if info.extension == "parquet")
    assert [each.day.day for each in days(store, date(2023, 11, 16), date.max)] == [16]


def test_the_command_lists_and_compacts(tmp_path, lake_url, monkeypatch):
    monkeypatch.setenv("MARKETSTREAM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MARKETSTREAM_ARCHIVE__URL", lake_url)
    run = CliRunner().invoke
    assert "nothing there" in run(app, ["lake", "list"]).output
    filled(lake_url)
    assert "144" in run(app, ["lake", "list"]).output
    assert "46 files fewer" in run(app, ["lake", "compact", "--to", "2023-11-15"]).output
    assert "4 files fewer" in run(app, ["lake", "compact"]).output
    assert "0 files fewer" in run(app, ["lake", "compact"]).output
