import multiprocessing
import signal
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from lake_crashes import compact_again_and_again, compact_and_die
from lakes import DAY_US, archive_ticks, lake_tick, rows_of
from marketstream.lake import swap
from marketstream.lake.compaction import compact, plan
from marketstream.lake.datasets import TICK_ROWS
from marketstream.lake.places import Partition, Span, date_of
from marketstream.lake.store import LakeFile, LakeStore
from marketstream.lake.swap import recover

DAY = date_of(DAY_US)
PARTITION = Partition("ticks", "", DAY, "A")
ALL = 10**9


@pytest.fixture(params=["at once", "step by step", pytest.param("s3", marks=pytest.mark.servers)])
def store(request, tmp_path, monkeypatch):
    """A local lake, also one on a file system that can't exchange folders, and one in an object store."""
    if request.param == "s3":
        return LakeStore.at(request.getfixturevalue("s3_lake"))
    if request.param == "step by step":
        monkeypatch.setattr(swap, "_exchange", lambda *_: False)
    return LakeStore.at(str(tmp_path / "lake"))


@pytest.fixture
def ticks(store):
    made = [lake_tick(number) for number in range(600)]
    archive_ticks(store, made)
    return made


def stored(store):
    return [row for file in store.files(PARTITION) for row in store.read(TICK_ROWS, file).to_pylist()]


def spans(store):
    return [file.span for file in store.files(PARTITION)]


def test_a_past_dates_files_become_one_sorted_one(store, ticks):
    assert len(store.files(PARTITION)) == 10
    assert compact(store, DAY, DAY, ALL) == 9
    assert spans(store) == [Span(0, 600)]
    assert stored(store) == rows_of(ticks)
    assert compact(store, DAY, DAY, ALL) == 0
    staging = store.filesystem.get_file_info(store.path("_staging", PARTITION.path))
    assert staging.type == fs.FileType.NotFound


def test_no_compacted_file_has_more_rows_than_allowed(store, ticks):
    assert compact(store, DAY, DAY, 150) == 5
    assert spans(store) == [Span(start, start + 120) for start in range(0, 600, 120)]
    assert stored(store) == rows_of(ticks)


def test_other_dates_stay_as_they_are(store, ticks):
    assert compact(store, DAY + timedelta(days=1), date(2100, 1, 1), ALL) == 0
    assert len(store.files(PARTITION)) == 10


def test_a_late_row_finds_the_compacted_file_and_doubles_nothing(store, ticks):
    compact(store, DAY, DAY, ALL)
    late = lake_tick(1_000, at_us=DAY_US + 1)
    archive_ticks(store, [*ticks, late, lake_tick(601)])
    assert spans(store) == [Span(0, 600), Span(600, 660)]
    assert {row["trade_id"] for row in stored(store)} == {tick.trade_id for tick in (*ticks, late, lake_tick(601))}
    assert len(stored(store)) == 602


def test_files_that_are_full_stay_beside_the_merged_ones():
    files = [LakeFile(PARTITION, Span(hour * 60, hour * 60 + 60), 1) for hour in range(5)]
    assert plan(files, [9, 4, 4, 4, 30], 10) == [[files[1], files[2]]]
    assert plan(files[:1], [5], 10) == []


STEPS = ("staged", "ready", "half hidden", "hidden", "half shown", "shown")
KILLS = [
    *(pytest.param("folder", step, id=f"folder-{step}") for step in ("exchanged", *STEPS)),
    *(pytest.param("s3", step, id=f"s3-{step}", marks=pytest.mark.servers) for step in STEPS),
]


@pytest.mark.parametrize(("lake_url", "step"), KILLS, indirect=["lake_url"])
def test_a_kill_at_any_step_loses_and_doubles_nothing(lake_url, step):
    store = LakeStore.at(lake_url)
    ticks = [lake_tick(number) for number in range(300)]
    archive_ticks(store, ticks)
    killed = multiprocessing.get_context("spawn").Process(target=compact_and_die, args=(lake_url, step))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    seen = [row["trade_id"] for row in stored(store)]
    assert len(seen) == len(set(seen))
    with store.locked(PARTITION):
        recover(store, PARTITION)
    assert stored(store) == rows_of(ticks)
    compact(store, DAY, DAY, ALL)
    assert stored(store) == rows_of(ticks)
    assert spans(store) == [Span(0, 300)]


def test_a_reader_meanwhile_finds_each_row_once_or_is_told(tmp_path):
    """Reads as DuckDB and polars do, list then open, beside a compaction that goes on and on."""
    store = LakeStore.at(str(tmp_path / "lake"))
    archive_ticks(store, [lake_tick(number) for number in range(300)])
    stop = multiprocessing.get_context("spawn").Event()
    worker = multiprocessing.get_context("spawn").Process(target=compact_again_and_again, args=(store.root, stop))
    worker.start()
    try:
        counts, interrupted = [], 0
        while len(counts) < 300:
            try:
                counts.append(
                    sum(pq.read_metadata(path).num_rows for path in Path(store.root, "ticks").rglob("*.parquet"))
                )
            except FileNotFoundError:
                interrupted += 1
    finally:
        stop.set()
        worker.join(60)
    assert set(counts) == {300}
    assert worker.exitcode == 0
