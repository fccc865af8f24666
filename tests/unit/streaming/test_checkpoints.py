import json
import os
import time
from dataclasses import replace

import pytest

from marketstream.domain.errors import StreamingError
from marketstream.streaming.checkpoint_starts import read_since_us
from marketstream.streaming.checkpoints import CheckpointStore, QueryShape

SHAPE = QueryShape(
    transform_version=1,
    mode="realtime",
    intervals=("1min", "5min"),
    source_partitions=4,
    shuffle_partitions=1,
    source="topic-a",
)
REACH_BACK_SECONDS = 310


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "bars", reach_back_seconds=REACH_BACK_SECONDS)


def commit(checkpoint, batch, *, at_seconds):
    commits = checkpoint.path / "commits"
    commits.mkdir(exist_ok=True)
    entry = commits / str(batch)
    entry.write_text("v1")
    os.utime(entry, (at_seconds, at_seconds))
    (commits / f".{batch}.crc").write_text("")


def test_the_first_reads_from_the_oldest_tick(store):
    checkpoint = store.open(SHAPE)
    assert checkpoint.source_options == {"startingOffsets": "earliest"}
    assert checkpoint.path.is_dir()


def test_the_first_of_a_query_that_knows_its_past_reads_what_is_recent(tmp_path):
    store = CheckpointStore(tmp_path / "indicators", reach_back_seconds=REACH_BACK_SECONDS, has_past=True)
    start_ms = int(store.open(SHAPE).source_options["startingTimestamp"])
    assert REACH_BACK_SECONDS * 1_000 <= time.time() * 1_000 - start_ms < (REACH_BACK_SECONDS + 600) * 1_000


def test_the_same_shape_resumes(store):
    first = store.open(SHAPE)
    again = store.open(SHAPE)
    assert again.path == first.path
    assert "resuming" in again.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mode": "microbatch"}, "mode realtime → microbatch"),
        ({"source_partitions": 8}, "source_partitions 4 → 8"),
        ({"transform_version": 2}, "transform_version 1 → 2"),
        ({"intervals": ("1min",)}, "intervals"),
        ({"parameters": "00ff"}, "parameters  → 00ff"),
    ],
)
def test_another_shape_starts_afresh_where_open_bars_began(store, change, said):
    first = store.open(SHAPE)
    commit(first, 3, at_seconds=1_700_000_000)
    commit(first, 4, at_seconds=1_700_000_060)
    fresh = store.open(replace(SHAPE, **change))
    assert fresh.path != first.path
    assert not first.path.exists()
    assert said in fresh.reason
    start_ms = int(fresh.source_options["startingTimestamp"])
    assert 1_700_000_060_000 - start_ms >= REACH_BACK_SECONDS * 1_000
    assert fresh.source_options["startingOffsetsByTimestampStrategy"] == "latest"


def test_a_fresh_one_that_never_committed_keeps_its_start_when_resumed_or_replaced(store):
    commit(store.open(SHAPE), 0, at_seconds=1_700_000_000)
    fresh = store.open(replace(SHAPE, mode="microbatch"))
    assert store.open(replace(SHAPE, mode="microbatch")).source_options == fresh.source_options
    assert store.open(SHAPE).source_options == fresh.source_options


def test_bars_of_an_added_interval_begin_where_reading_begins_also_after_the_next_fresh_start(store):
    commit(store.open(SHAPE), 0, at_seconds=1_700_000_000)
    longer = replace(SHAPE, intervals=("1min", "5min", "1d"))
    told = store.choose(longer).reason
    added = store.open(longer)
    assert added.reason == told
    assert "bars of 1d from 2023-11-14T" in told
    start_us = int(added.source_options["startingTimestamp"]) * 1_000
    assert added.since_us.keys() == {"1d"}
    assert start_us < added.since_us["1d"] < 1_700_000_000_000_000
    assert store.open(longer).since_us == added.since_us
    commit(added, 0, at_seconds=1_700_050_000)
    assert store.rotate(longer, "state holds 6000000 bars").since_us == added.since_us
    further = store.open(replace(longer, intervals=("1min", "1h", "1d"), mode="microbatch"))
    assert further.since_us.keys() == {"1h", "1d"}
    assert further.since_us["1d"] == added.since_us["1d"] < further.since_us["1h"]
    assert store.open(replace(SHAPE, mode="microbatch")).since_us.keys() == {"5min"}


def test_once_reading_begins_long_after_them_bars_that_were_left_out_are_forgotten(store):
    commit(store.open(SHAPE), 0, at_seconds=1_700_000_000)
    longer = replace(SHAPE, intervals=("1min", "5min", "1d"))
    commit(store.open(longer), 0, at_seconds=1_700_000_000 + 3 * 86_400)
    assert store.rotate(longer, "state holds 6000000 bars").since_us == {}


def test_bars_of_an_added_interval_are_all_made_where_everything_is_read_again(store):
    assert store.open(SHAPE).since_us == {}
    assert store.open(replace(SHAPE, intervals=("1min", "1d"))).since_us == {}
    commit(store.open(SHAPE), 0, at_seconds=1_700_000_000)
    added = store.open(replace(SHAPE, intervals=("1min", "1d")))
    assert added.since_us.keys() == {"1d"}
    store.reset(from_oldest=True)
    assert store.open(added_shape := replace(SHAPE, intervals=("1min", "1d"))).since_us == {}
    assert store.current().shape == added_shape


def test_since_when_the_state_has_everything_is_told_to_others(store, tmp_path):
    folder = tmp_path / "bars"
    assert read_since_us(folder) is None
    commit(store.open(SHAPE), 0, at_seconds=1_700_000_000)
    assert read_since_us(folder) is None
    rotated = store.rotate(SHAPE, "state holds 6000000 bars")
    assert read_since_us(folder) == int(rotated.source_options["startingTimestamp"]) * 1_000
    (folder / "current.json").write_text("{")
    assert read_since_us(folder) is None


def test_a_pointer_of_an_earlier_version_is_read(store, tmp_path):
    first = store.open(SHAPE)
    pointer = tmp_path / "bars" / "current.json"
    fields = json.loads(pointer.read_bytes())
    del fields["since_us"]
    pointer.write_text(json.dumps(fields))
    again = store.open(SHAPE)
    assert (again.path, again.since_us) == (first.path, {})


def test_a_topic_created_anew_is_read_from_its_oldest_tick(store):
    commit(store.open(SHAPE), 0, at_seconds=1_700_000_000)
    assert store.open(replace(SHAPE, source="topic-b")).source_options == {"startingOffsets": "earliest"}


def test_a_topic_more_or_fewer_changes_nothing_for_the_others(store):
    shape = replace(SHAPE, source="all one five")
    commit(store.open(shape), 0, at_seconds=1_700_000_000)
    start = store.after_reset(from_oldest=False)
    assert "startingTimestamp" in start
    hour = {"intervals": ("1min", "1h", "5min"), "source": "all one hour five"}
    fewer = {"intervals": ("5min",), "source": "all five"}
    for other in (hour, fewer, {"intervals": ("1h",), "source": "all hour"}):
        assert store.choose(replace(shape, **other)).source_options == start
    for anew in ("new one hour five", "all new hour five", "all one hour new"):
        assert store.choose(replace(shape, **(hour | {"source": anew}))).source_options == {
            "startingOffsets": "earliest"
        }


def test_rotation_replaces_the_current_one(store):
    first = store.open(SHAPE)
    commit(first, 0, at_seconds=1_700_000_000)
    rotated = store.rotate(SHAPE, "state holds 6000000 bars")
    assert rotated.path != first.path
    assert "startingTimestamp" in rotated.source_options
    assert store.open(SHAPE).path == rotated.path


def test_a_damaged_pointer_says_what_to_do(store, tmp_path):
    store.open(SHAPE)
    (tmp_path / "bars" / "current.json").write_text("{")
    with pytest.raises(StreamingError, match="checkpoints reset bars"):
        store.open(SHAPE)


def test_a_choice_tells_what_open_does_and_changes_nothing(store):
    assert not store.choose(SHAPE).resumes
    first = store.open(SHAPE)
    commit(first, 0, at_seconds=1_700_000_000)
    assert store.choose(SHAPE).resumes
    choice = store.choose(replace(SHAPE, mode="microbatch", shuffle_partitions=2))
    assert (choice.resumes, choice.changes) == (
        False,
        ("mode realtime → microbatch", "shuffle_partitions 1 → 2"),
    )
    assert first.path.is_dir()
    fresh = store.open(replace(SHAPE, mode="microbatch", shuffle_partitions=2))
    assert (fresh.source_options, fresh.reason) == (choice.source_options, choice.reason)


@pytest.mark.parametrize("from_oldest", [False, True])
def test_after_a_reset_the_next_start_reads_where_it_was_said(store, from_oldest):
    first = store.open(SHAPE)
    commit(first, 9, at_seconds=1_700_000_000)
    said = store.after_reset(from_oldest=from_oldest)
    store.reset(from_oldest=from_oldest)
    assert not first.path.exists()
    again = store.open(SHAPE)
    assert again.source_options == said
    assert ("startingOffsets" in said) is from_oldest
    # Nothing was committed since, so the start holds for another shape too.
    assert store.open(replace(SHAPE, shuffle_partitions=8)).source_options == said


def test_what_is_not_there_is_reset_into_nothing(store, tmp_path):
    store.reset()
    store.discard()
    assert not (tmp_path / "bars" / "current.json").exists()


def test_a_damaged_pointer_is_discarded_with_everything(store, tmp_path):
    store.open(SHAPE)
    (tmp_path / "bars" / "current.json").write_text("{")
    with pytest.raises(StreamingError):
        store.reset()
    store.discard()
    assert list((tmp_path / "bars").iterdir()) == []
    assert store.open(SHAPE).source_options == {"startingOffsets": "earliest"}


def test_one_query_at_a_time_holds_its_checkpoints(store):
    assert not store.in_use()
    with store.held():
        assert store.in_use()
        with pytest.raises(StreamingError, match="another bars query runs"), store.held(patience_seconds=0):
            raise AssertionError("held twice")
    assert not store.in_use()
