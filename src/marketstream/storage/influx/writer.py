"""Stores ticks, bars, indicators and their latencies in InfluxDB.

Reads: `tick_data`, `aggregated_data_*`, `provider_bars`, `technical_indicators`.
Writes: `tick_metrics`, `aggregated_metrics`, `technical_indicators`, `latency_metrics`.

A point is its tags and its time, and the last write wins: a tick again is the same point again, and bars and
indicators pass a guard that lets no older version through. What lies beyond the bucket's retention is left out;
InfluxDB would refuse it.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from marketstream.contracts import measurements
from marketstream.domain.errors import StoreError, StoreUnavailableError
from marketstream.domain.indicators import Indicators
from marketstream.domain.market import Bar
from marketstream.observability import metrics
from marketstream.observability.logs import get_logger
from marketstream.ports import Message
from marketstream.settings import InfluxSettings
from marketstream.storage.decoding import BarKey, Decoded, Versioned, decode, newest_bars, newest_indicators
from marketstream.storage.influx.guard import Version, VersionGuard
from marketstream.storage.influx.lines import bar_line, indicators_line, latency_line, tick_line

_REFUSED = (400, 413, 422)  # malformed, too large, unprocessable: the data's fault
_BEYOND_RETENTION = "beyond retention policy"
_TIMEOUT_MS = 10_000
_DAY_SECONDS = 86_400
_DAY_US = _DAY_SECONDS * 1_000_000
_MARGIN_US = 60 * 1_000_000  # what is about to expire is left out too, before a slow request makes it late
_NOT_CONNECTED = "not connected; call setup first"
_VERSION_FIELDS = ("trade_count", "cancelled", "final", "revision", "provider")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class InfluxWriter:
    """A `Writer` on InfluxDB 2; ticks and bars written twice are there once, latencies are those of each write.

    Args:
        settings: Where InfluxDB is, and the bucket; a missing one is made.
    """

    name = "influx-writer"

    def __init__(self, settings: InfluxSettings) -> None:
        self._settings = settings
        self._client: Any = None  # influxdb-client has few types, and wrong ones
        self._write_api: Any = None
        self._bars, self._indicators = self._guards()
        self._retention_us = 0
        self._log = get_logger(self.name)

    def setup(self) -> None:
        """Connects, and makes the bucket where it is missing.

        Raises:
            StoreUnavailableError: InfluxDB is away, or refuses the token.
        """
        self.close()
        token = self._settings.token.get_secret_value()
        self._client = InfluxDBClient(self._settings.url, token, timeout=_TIMEOUT_MS, org=self._settings.organisation)
        with self._errors():
            self._write_api = self._client.write_api(write_options=SYNCHRONOUS)
            self._retention_us = self._ensure_bucket(self._client) * 1_000_000
        self._bars, self._indicators = self._guards()  # while we were away others may have written

    def write(self, batch: Sequence[Message]) -> None:
        """Stores a batch, then how long its messages took to get here.

        Raises:
            StoreUnavailableError: InfluxDB is away.
            UndecodableError: Some messages are none of their topics.
            StoreError: InfluxDB refuses a value.
        """
        decoded = decode(batch)
        oldest_us = _now_us() - self._retention_us + _MARGIN_US if self._retention_us else 0
        ticks = [tick for _, tick in decoded.ticks if tick.event_time_us >= oldest_us]
        bars = self._bars.newer(_since(newest_bars(decoded.bars), oldest_us))
        indicators = self._indicators.newer(_since(newest_indicators(decoded.indicators), oldest_us))
        bar_lines, indicators_lines = map(bar_line, bars.values()), map(indicators_line, indicators.values())
        self._send(chain(map(tick_line, ticks), bar_lines, indicators_lines))
        self._bars.remember(bars)
        self._indicators.remember(indicators)
        self._send(_latency_lines(decoded, _now_us()))
        beyond = len(decoded.ticks) - len(ticks)
        metrics.SKIPPED.labels(self.name, "beyond_retention").inc(beyond)

    def close(self) -> None:
        """Disconnects."""
        if self._client is not None:
            self._client.close()
            self._client = self._write_api = None

    def _guards(self) -> tuple[VersionGuard[Bar], VersionGuard[Indicators]]:
        lookups = [partial(self._stored_versions, name) for name in (measurements.BARS, measurements.INDICATORS)]
        return VersionGuard(lookups[0]), VersionGuard(lookups[1], equals_pass=True)

    def _open(self) -> Any:
        if self._client is None:
            raise StoreUnavailableError(_NOT_CONNECTED)
        return self._client

    def _ensure_bucket(self, client: Any) -> int:
        """Seconds the bucket keeps its data; 0 for ever."""
        buckets = client.buckets_api()
        bucket = buckets.find_bucket_by_name(self._settings.bucket)
        if bucket is None:
            make_rule: Any = BucketRetentionRules
            rule = make_rule(type="expire", every_seconds=self._settings.retention_days * _DAY_SECONDS)
            bucket = buckets.create_bucket(
                bucket_name=self._settings.bucket, retention_rules=rule, org=self._settings.organisation
            )
            self._log.info("made the bucket", bucket=self._settings.bucket)
        return max((int(rule.every_seconds) for rule in bucket.retention_rules), default=0)

    def _send(self, lines: Iterator[str]) -> None:
        body = "\n".join(lines).encode()
        if not body:
            return
        if self._write_api is None:
            raise StoreUnavailableError(_NOT_CONNECTED)
        with self._errors():
            self._write_api.write(self._settings.bucket, record=body)

    def _stored_versions(self, measurement: str, keys: Collection[BarKey]) -> Mapping[BarKey, Version]:
        """Versions stored of these bars, asked for by interval and day, over no longer a time than needed."""
        starts: dict[tuple[str, int], list[int]] = {}
        for _, interval, start_us in keys:
            starts.setdefault((interval, start_us // _DAY_US), []).append(start_us)
        wanted, found = set(keys), dict[BarKey, Version]()
        for (interval, _), starts_us in starts.items():
            query = self._versions_query(measurement, interval, min(starts_us), max(starts_us))
            with self._errors():
                versions = map(_version, self._open().query_api().query_stream(query))
                found.update(version for version in versions if version[0] in wanted)
        return found

    def _versions_query(self, measurement: str, interval: str, first_us: int, last_us: int) -> str:
        start, stop = first_us * 1_000, last_us * 1_000 + 1
        fields = ", ".join(map(_flux_text, _VERSION_FIELDS))
        return f"""
            from(bucket: {_flux_text(self._settings.bucket)})
              |> range(start: time(v: {start}), stop: time(v: {stop}))
              |> filter(fn: (r) => r._measurement == "{measurement}" and r.interval == {_flux_text(interval)})
              |> filter(fn: (r) => contains(value: r._field, set: [{fields}]))
              |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
              |> keep(columns: ["_time", "symbol", "interval", {fields}])
        """

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ApiException as error:
            body = " ".join(str(error.body or error.reason or error).split())
            if error.status == 422 and _BEYOND_RETENTION in body:
                return  # everything else of the request is stored
            kind = StoreError if error.status in _REFUSED else StoreUnavailableError
            raise kind(f"InfluxDB at {self._settings.url} answers {error.status}: {body}") from error
        except (HTTPError, OSError) as error:
            raise StoreUnavailableError(f"InfluxDB at {self._settings.url}: {error}") from error


def _since(bars: Mapping[BarKey, Versioned], oldest_us: int) -> dict[BarKey, Versioned]:
    return {key: bar for key, bar in bars.items() if bar.start_us >= oldest_us}


def _flux_text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${") + '"'


def _version(record: Any) -> tuple[BarKey, Version]:
    start_us = (record.get_time() - _EPOCH) // timedelta(microseconds=1)
    key = (record["symbol"], record["interval"], start_us)
    made_here = not record.values.get("provider")  # points from before providers' bars came have none
    cancelled = record.values.get("cancelled") or 0  # nor have those from before trades were taken out
    seen = record["trade_count"] + cancelled if made_here else 0
    return key, (made_here, seen, cancelled, record["final"], record["revision"])


def _latency_lines(decoded: Decoded, now_us: int) -> Iterator[str]:
    """How long this batch's messages took to Kafka and, all the way, to here."""
    received: dict[str, list[tuple[Message, int]]] = {
        "tick": [(message, tick.received_time_us) for message, tick in decoded.ticks],
        "bar": [],
        "provider_bar": [],
        "indicator": [(message, each.last_received_time_us) for message, each in decoded.indicators],
    }
    for message, bar in decoded.bars:
        received["provider_bar" if bar.provider else "bar"].append((message, bar.last_received_time_us))
    for kind, pairs in received.items():
        if pairs:
            to_kafka = [message.timestamp_ms - received_us / 1_000 for message, received_us in pairs]
            to_store = [(now_us - received_us) / 1_000 for _, received_us in pairs]
            yield latency_line(f"{kind}_received_to_kafka", to_kafka, now_us)
            yield latency_line(f"{kind}_received_to_influx", to_store, now_us)


def _now_us() -> int:
    return time.time_ns() // 1_000
