"""Spark's progress reports as metrics: each batch counted once, whatever the looks at it."""

import uuid

import pytest
from prometheus_client import REGISTRY
from pyspark.sql import Row

from marketstream.domain.errors import BusError
from marketstream.streaming.query_metrics import QueryObserver
from marketstream.streaming.source_lag import processed_positions
from marketstream.streaming.trigger import Trigger

MICRO = Trigger.micro_batches("2 seconds")


class FakeQuery:
    """As much of Spark's query as is looked at."""

    def __init__(self):
        self.runId = uuid.uuid4()
        self.recentProgress = []

    @property
    def lastProgress(self):  # noqa: N802  # Spark's name
        return self.recentProgress[-1] if self.recentProgress else None


class FakeLag:
    """A lag that is told, or a broker that is away."""

    def __init__(self, lag=None):
        self.lag = lag

    def of(self, query):
        if self.lag is None:
            raise BusError("away")
        return self.lag


def progress(batch, *, rows=100, dropped=0, undecodable=None, watermark=None, state=5, rate=50.0):
    operator = {"numRowsTotal": state, "memoryUsedBytes": 1_000, "numRowsDroppedByWatermark": dropped}
    return {
        "batchId": batch,
        "timestamp": "2026-01-02T03:04:05.000Z",
        "durationMs": {"addBatch": 300, "triggerExecution": 500},
        "numInputRows": rows,
        "processedRowsPerSecond": rate,
        "stateOperators": [operator, operator],
        "observedMetrics": {"q": Row(undecodable=undecodable)},
        "eventTime": {"watermark": watermark} if watermark else {},
    }


def idle(batch):
    return progress(batch, rows=0) | {"durationMs": {"latestOffset": 4, "triggerExecution": 4}}


@pytest.fixture
def name():
    return f"query-{uuid.uuid4().hex}"


def sample(metric, **labels):
    return REGISTRY.get_sample_value(f"marketstream_query_{metric}", labels)


def test_every_batch_counts_once_even_those_between_two_looks(name):
    query, observer = FakeQuery(), QueryObserver(name, MICRO, FakeLag({}))
    assert observer.look(query) is None
    query.recentProgress = [progress(41, dropped=1), progress(42, undecodable=3)]
    assert observer.look(query)["batchId"] == 42
    observer.look(query)
    query.recentProgress.append(progress(43, rows=7, state=9, dropped=2))
    observer.look(query)
    assert sample("batches_total", query=name) == 3
    assert sample("input_rows_total", query=name) == 207
    assert sample("late_rows_total", query=name) == 6
    assert sample("observed_rows_total", query=name, what="undecodable") == 3
    assert sample("phase_seconds_total", query=name, phase="addBatch") == pytest.approx(0.9)
    assert sample("state_rows", query=name) == 18
    assert sample("state_bytes", query=name) == 2_000
    assert sample("batch_id", query=name) == 43
    assert sample("progress_timestamp_seconds", query=name) == 1_767_323_045.5
    assert sample("processed_rows_per_second", query=name) == 50
    assert sample("trigger_seconds", query=name, mode="microbatch") == 2


def test_a_query_that_is_started_again_is_counted_from_its_first_batch(name):
    query, observer = FakeQuery(), QueryObserver(name, MICRO, FakeLag({}))
    query.recentProgress = [progress(7)]
    observer.look(query)
    began = sample("start_timestamp_seconds", query=name)
    again = FakeQuery()
    again.recentProgress = [progress(0)]
    observer.look(again)
    assert sample("batches_total", query=name) == 2
    assert sample("start_timestamp_seconds", query=name) > began


def test_a_trigger_that_found_nothing_is_no_batch_though_it_has_the_number_of_the_next(name):
    query, observer = FakeQuery(), QueryObserver(name, MICRO, FakeLag({}))
    for reports in ([idle(42)], [idle(42), idle(42)], [idle(42), progress(42)], [progress(42), idle(43)]):
        query.recentProgress = reports
        observer.look(query)
    assert sample("batches_total", query=name) == 1
    assert sample("batch_id", query=name) == 42
    assert sample("progress_timestamp_seconds", query=name) == pytest.approx(1_767_323_045.004)  # the last trigger's
    query.recentProgress = [progress(42), idle(43), progress(43), idle(44)]  # both since the last look
    observer.look(query)
    assert sample("batches_total", query=name) == 2
    assert sample("input_rows_total", query=name) == 200


def test_a_batch_without_rows_has_no_rate_and_a_query_without_watermark_none(name):
    query, observer = FakeQuery(), QueryObserver(name, MICRO, FakeLag({}))
    query.recentProgress = [progress(0, rows=0, rate=None)]
    observer.look(query)
    assert sample("processed_rows_per_second", query=name) is None
    assert sample("watermark_timestamp_seconds", query=name) is None
    query.recentProgress.append(progress(1, watermark="1970-01-01T00:01:00.000Z"))
    observer.look(query)
    assert sample("watermark_timestamp_seconds", query=name) == 60


def test_lag_is_told_by_partition_and_a_broker_that_is_away_spoils_nothing(name):
    lag = FakeLag({("tick_data", 0): 5, ("tick_data", 3): 0})
    observer = QueryObserver(name, MICRO, lag)
    observer.look(FakeQuery())
    assert sample("lag_messages", query=name, topic="tick_data", partition="0") == 5
    assert sample("lag_messages", query=name, topic="tick_data", partition="3") == 0
    assert QueryObserver(name, MICRO, FakeLag()).look(FakeQuery()) is None


def test_offsets_are_read_in_each_form_in_which_spark_tells_them():
    assert processed_positions(['{"a":{"0":5,"11":7}}', {"b": {"0": 1}}, "null", None]) == {
        ("a", 0): 5,
        ("a", 11): 7,
        ("b", 0): 1,
    }
