"""What only InfluxDB has: a bucket of its own making, its retention, and the latencies."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from influxdb_client.client.influxdb_client import InfluxDBClient
from pydantic import SecretStr

from marketstream.domain.errors import StoreError, StoreUnavailableError
from marketstream.settings import InfluxSettings, Settings
from marketstream.storage.influx.writer import InfluxWriter
from stores import MINUTE_US, Log, flux_rows, make_bar, make_indicators, make_tick

pytestmark = pytest.mark.servers

OLD_DAY_US = 1_381_152_600_000_000


@pytest.fixture
def bucket(server_settings: Callable[..., Settings], request: pytest.FixtureRequest) -> InfluxSettings:
    settings = server_settings("influxdb").influx
    return settings.model_copy(update={"bucket": f"{request.node.name}-{time.time_ns()}"})


@pytest.fixture
def writer(bucket: InfluxSettings) -> Iterator[InfluxWriter]:
    with closing(InfluxWriter(bucket)) as opened:
        opened.setup()
        yield opened


@pytest.fixture
def now_us() -> int:
    return time.time_ns() // 1_000


def test_a_missing_bucket_is_made_with_its_retention(bucket: InfluxSettings, writer: InfluxWriter) -> None:
    writer.setup()

    token = bucket.token.get_secret_value()
    with InfluxDBClient(bucket.url, token, org=bucket.organisation) as client:
        made = client.buckets_api().find_bucket_by_name(bucket.bucket)
    assert [rule.every_seconds for rule in made.retention_rules] == [90 * 86_400]


def test_what_the_bucket_would_not_keep_is_left_out(bucket: InfluxSettings, writer: InfluxWriter, now_us: int) -> None:
    bar = make_bar(OLD_DAY_US, 1)
    writer.write(Log().add(make_tick(OLD_DAY_US), bar, make_indicators(bar), make_tick(now_us)))

    assert [row["time_ns"] // 1_000 for row in flux_rows(bucket, "tick_metrics")] == [now_us]
    assert flux_rows(bucket, "aggregated_metrics") == []
    assert flux_rows(bucket, "technical_indicators") == []


def test_a_batch_at_the_very_edge_of_the_retention_is_no_poison(bucket: InfluxSettings, writer: InfluxWriter) -> None:
    edge_us = time.time_ns() // 1_000 - 90 * 86_400 * 1_000_000

    writer.write(Log().add(*(make_tick(edge_us + second * 1_000_000) for second in range(-120, 120, 10))))

    assert len(flux_rows(bucket, "tick_metrics")) > 0


def test_how_long_messages_took_is_kept_per_stage(bucket: InfluxSettings, writer: InfluxWriter) -> None:
    log = Log()
    received_us = log.add(make_tick(1))[0].timestamp_ms * 1_000 - 5_000  # so the first stage took 5 ms
    batch = log.add(
        *(make_tick(OLD_DAY_US + number, received_time_us=received_us) for number in range(3)),
        make_bar(OLD_DAY_US, 3, last_received_time_us=received_us - 40_000),
        make_indicators(make_bar(OLD_DAY_US, 3, last_received_time_us=received_us - 70_000)),
    )

    before_ms = time.time_ns() / 1e6
    writer.write(batch)
    after_ms = time.time_ns() / 1e6

    rows = {row["stage"]: row for row in flux_rows(bucket, "latency_metrics")}
    assert {stage: row["count"] for stage, row in rows.items()} == {
        "tick_received_to_kafka": 3,
        "tick_received_to_influx": 3,
        "bar_received_to_kafka": 1,
        "bar_received_to_influx": 1,
        "indicator_received_to_kafka": 1,
        "indicator_received_to_influx": 1,
    }
    to_kafka = rows["tick_received_to_kafka"]
    assert (to_kafka["p50_ms"], to_kafka["p99_ms"], to_kafka["max_ms"]) == (5.0, 5.0, 5.0)
    assert rows["bar_received_to_kafka"]["p50_ms"] == 45.0
    assert rows["indicator_received_to_kafka"]["p50_ms"] == 75.0
    to_influx = rows["tick_received_to_influx"]["p50_ms"]
    assert before_ms - received_us / 1_000 - 1 <= to_influx <= after_ms - received_us / 1_000


def test_bars_of_several_days_are_guarded_after_a_restart(bucket: InfluxSettings, now_us: int) -> None:
    day_us = 86_400_000_000
    starts = [now_us // MINUTE_US * MINUTE_US - days * day_us for days in (0, 1, 5)]
    log = Log()
    for count in (9, 4):  # the second process sees what Spark replays
        with closing(InfluxWriter(bucket)) as process:
            process.setup()
            for interval in ("1min", "5min"):
                bars = (make_bar(start, count, symbol=each, interval=interval) for start in starts for each in "AB")
                process.write(log.add(*bars))

    assert [row["trade_count"] for row in flux_rows(bucket, "aggregated_metrics")] == [9] * 12


def test_a_wrong_token_is_waited_for_not_taken_for_poison(bucket: InfluxSettings) -> None:
    wrong = bucket.model_copy(update={"token": SecretStr("no such token")})

    with pytest.raises(StoreUnavailableError, match="401"):
        InfluxWriter(wrong).setup()


def test_a_bucket_that_vanishes_is_waited_for(bucket: InfluxSettings, writer: InfluxWriter, now_us: int) -> None:
    token = bucket.token.get_secret_value()
    with InfluxDBClient(bucket.url, token, org=bucket.organisation) as client:
        client.buckets_api().delete_bucket(client.buckets_api().find_bucket_by_name(bucket.bucket))
    batch = Log().add(make_tick(now_us))

    with pytest.raises(StoreUnavailableError, match="404"):
        writer.write(batch)
    writer.setup()
    writer.write(batch)

    assert len(flux_rows(bucket, "tick_metrics")) == 1


def test_a_value_influxdb_can_not_hold_is_refused_for_good(writer: InfluxWriter, now_us: int) -> None:
    far = round(datetime(2300, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000 + round(timedelta(days=1).total_seconds())
    for tick in (make_tick(now_us, symbol="A\nB"), make_tick(far)):  # nanoseconds in 64 bits end in 2262
        with pytest.raises(StoreError) as caught:
            writer.write(Log().add(tick))
        assert not isinstance(caught.value, StoreUnavailableError)
