"""The archive job without Spark: what it does beside its batches."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lakes import archive_ticks, lake_tick
from marketstream.lake.datasets import TICK_ROWS
from marketstream.lake.places import Partition, day_start_us
from marketstream.lake.store import LakeStore
from marketstream.settings import load_settings
from marketstream.streaming.archive_job import ArchiveJob
from marketstream.streaming.checkpoints import QueryShape
from marketstream.streaming.trigger import Trigger

HOUR_US = 3_600_000_000


@pytest.fixture
def job(tmp_path):
    trigger = Trigger.micro_batches("1 minute", "ARCHIVE__TRIGGER")
    return ArchiveJob(load_settings(data_dir=tmp_path), trigger, QueryShape(1, "microbatch", (), 0, 0, ""), ())


def test_a_file_that_cannot_be_read_keeps_past_dates_from_compaction_and_stops_nothing(job):
    store = LakeStore.at(job.settings.lake_url)
    day = datetime.now(UTC).date() - timedelta(days=2)
    archive_ticks(store, [lake_tick(number, at_us=day_start_us(day) + number * HOUR_US) for number in range(3)])
    partition = Partition("ticks", "", day, "A")
    damaged = Path(store.path(store.files(partition)[1].path))
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    job.compact_past()
    assert len(store.files(partition)) == 3
    damaged.write_bytes(whole)
    job.compact_past()
    (file,) = store.files(partition)
    assert store.read(TICK_ROWS, file).num_rows == 3
