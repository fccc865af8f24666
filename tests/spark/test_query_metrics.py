"""A query's own figures, as Prometheus gets them from a real stream: rows read, left out and dropped, state, phases."""

import os
import uuid

import polars as pl
import pytest
from prometheus_client import REGISTRY
from pyspark.sql import functions as F  # noqa: N812  # Spark's own convention

from marketstream.contracts.messages import encode
from marketstream.streaming.bars import parse_ticks
from marketstream.streaming.query_metrics import QueryObserver
from marketstream.streaming.source_lag import UnknownLag
from marketstream.streaming.trigger import Trigger
from marketstream.testing.platform import eventually
from stores import make_tick

pytestmark = pytest.mark.spark

SECOND_US = 1_000_000
START_US = 1_700_006_400_000_000
IDLE_REPORTS = "spark.sql.streaming.noDataProgressEventInterval"


def sample(metric, **labels):
    return REGISTRY.get_sample_value(f"marketstream_query_{metric}", labels)


def write(folder, number, values):
    path = folder / f"{number}.parquet"
    pl.DataFrame({"value": values}, {"value": pl.Binary}).write_parquet(path)
    os.utime(path, (1e9 + number, 1e9 + number))  # Spark reads files in the order of their times


def test_what_a_stream_reads_leaves_out_and_drops_is_counted(spark, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    write(source, 0, [encode(make_tick(START_US + second * SECOND_US)) for second in (0, 1, 60)])
    write(source, 1, [b"no tick", b'{"symbol":"IBM"}', encode(make_tick(START_US + 61 * SECOND_US))])
    write(source, 2, [encode(make_tick(START_US + second * SECOND_US)) for second in (2, 62)])  # the first is late
    name = f"query-{uuid.uuid4().hex}"
    messages = spark.readStream.schema("value binary").option("maxFilesPerTrigger", 1).parquet(str(source))
    query = (
        parse_ticks(messages, counted_as=name)
        .withColumn("time", F.timestamp_micros("event_time_us"))
        .withWatermark("time", "10 seconds")
        .groupBy("symbol", F.window("time", "10 seconds"))
        .count()
        .writeStream.queryName(name)
        .outputMode("update")
        .format("noop")
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    QueryObserver(name, Trigger.micro_batches("1 second"), UnknownLag()).look(query)
    assert sample("input_rows_total", query=name) == 8
    assert sample("observed_rows_total", query=name, what="undecodable") == 2
    assert sample("late_rows_total", query=name) == 1
    assert sample("batches_total", query=name) >= 3
    assert sample("state_rows", query=name) >= 1
    assert sample("state_bytes", query=name) > 0
    assert sample("phase_seconds_total", query=name, phase="triggerExecution") > 0
    assert (
        sample("watermark_timestamp_seconds", query=name) == START_US / SECOND_US + 51
    )  # what the third batch began with


@pytest.fixture
def idle_reports_at_once(spark):
    spark.conf.set(IDLE_REPORTS, "100")  # milliseconds, rather than 10 seconds
    yield
    spark.conf.unset(IDLE_REPORTS)


@pytest.mark.usefixtures("idle_reports_at_once")
def test_a_batch_after_an_idle_spell_is_counted(spark, tmp_path):
    source, name = tmp_path / "in", f"query-{uuid.uuid4().hex}"
    source.mkdir()
    query = (
        spark.readStream.schema("value binary")
        .parquet(str(source))
        .writeStream.queryName(name)
        .format("noop")
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .trigger(processingTime="100 milliseconds")
        .start()
    )
    observer = QueryObserver(name, Trigger.micro_batches("1 second"), UnknownLag())

    def idles_before(batch):
        newest = observer.look(query)
        return newest is not None and newest["batchId"] == batch and "addBatch" not in newest["durationMs"]

    try:
        for batch in range(3):
            eventually(lambda number=batch: idles_before(number), within_seconds=60, what=f"idle before batch {batch}")
            write(tmp_path, batch, [b"a message", b"another"])
            (tmp_path / f"{batch}.parquet").rename(source / f"{batch}.parquet")  # Spark never sees half a file
        eventually(lambda: idles_before(3), within_seconds=60, what="idle after the last batch")
        assert sample("input_rows_total", query=name) == 6
        assert sample("batches_total", query=name) == 3
        assert sample("batch_id", query=name) == 2
        told = sample("progress_timestamp_seconds", query=name)
        eventually(
            lambda: idles_before(3) and sample("progress_timestamp_seconds", query=name) > told,
            within_seconds=60,
            what="the idle query tells that it lives",
        )
    finally:
        query.stop()
