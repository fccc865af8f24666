"""Tells Prometheus how a query does: each of its batches once, and how far it is behind its source.

Reads: Spark's progress reports. Writes: the metrics `marketstream_query_*`.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pyspark.sql.streaming.query import StreamingQuery

from marketstream.bus.inspector import Position
from marketstream.domain.errors import BusError
from marketstream.observability import metrics
from marketstream.observability.logs import get_logger
from marketstream.streaming.source_lag import SourceLag
from marketstream.streaming.trigger import Trigger

_LOG = get_logger("streaming")
_LAG_SECONDS = 5.0  # as often as Prometheus asks


class QueryObserver:
    """Follows one query over all its starts.

    Args:
        name: The query's.
        trigger: What starts its batches.
        lag: Tells its lag.
    """

    def __init__(self, name: str, trigger: Trigger, lag: SourceLag) -> None:
        self._name, self._trigger, self._lag = name, trigger, lag
        self._run: str | None = None
        self._batch = -1
        self._lag_due = 0.0
        self.lag: Mapping[Position, int] = {}

    def look(self, query: StreamingQuery) -> Any:
        """Takes what the query has reported since the last look.

        Returns:
            Its newest progress; None before its first.
        """
        if self._run != str(query.runId):
            self._begin(str(query.runId))
        newest = query.lastProgress
        if newest is not None and newest["batchId"] > self._batch:
            first = newest["batchId"] == self._batch + 1
            for progress in [newest] if first else query.recentProgress:
                if progress["batchId"] > self._batch:
                    self._count(progress)
        if time.monotonic() >= self._lag_due:
            self._ask_lag(query)
        return newest

    def _begin(self, run: str) -> None:
        self._run, self._batch = run, -1
        now = time.time()
        metrics.QUERY_START.labels(self._name).set(now)
        metrics.QUERY_PROGRESS.labels(self._name).set(now)
        metrics.QUERY_TRIGGER.labels(self._name, self._trigger.mode).set(self._trigger.seconds)

    def _count(self, progress: Any) -> None:
        metrics.QUERY_PROGRESS.labels(self._name).set(_ended_seconds(progress))
        if _is_idle(progress):  # numbered as the batch to come, which is still to be counted
            self._batch = progress["batchId"] - 1
        else:
            self._take(progress)
            self._batch = progress["batchId"]

    def _take(self, progress: Any) -> None:
        name, operators = self._name, progress["stateOperators"]
        metrics.QUERY_BATCH.labels(name).set(progress["batchId"])
        metrics.QUERY_BATCHES.labels(name).inc()
        metrics.QUERY_INPUT_ROWS.labels(name).inc(progress["numInputRows"] or 0)
        if (rate := progress["processedRowsPerSecond"]) is not None:  # of a batch that took no time there is none
            metrics.QUERY_PROCESSED_RATE.labels(name).set(rate)
        for phase, milliseconds in progress["durationMs"].items():
            metrics.QUERY_PHASE_SECONDS.labels(name, phase).inc(milliseconds / 1_000)
        metrics.QUERY_STATE_ROWS.labels(name).set(sum(each["numRowsTotal"] for each in operators))
        metrics.QUERY_STATE_BYTES.labels(name).set(sum(each["memoryUsedBytes"] for each in operators))
        metrics.QUERY_LATE_ROWS.labels(name).inc(sum(each["numRowsDroppedByWatermark"] for each in operators))
        for row in progress["observedMetrics"].values():
            for what, count in row.asDict().items():
                metrics.QUERY_OBSERVED_ROWS.labels(name, what).inc(count or 0)
        if watermark := progress["eventTime"].get("watermark"):
            metrics.QUERY_WATERMARK.labels(name).set(_seconds(watermark))

    def _ask_lag(self, query: StreamingQuery) -> None:
        try:
            self.lag = self._lag.of(query)
        except BusError as error:
            _LOG.warning("the query's lag is not known", query=self._name, error=str(error))
        for (topic, partition), messages in self.lag.items():
            metrics.QUERY_LAG.labels(self._name, topic, str(partition)).set(messages)
        self._lag_due = time.monotonic() + _LAG_SECONDS


def _is_idle(progress: Any) -> bool:
    """Whether it tells of a trigger that found nothing to do. In real-time mode each makes a batch, even of no rows."""
    return "addBatch" not in progress["durationMs"]


def _ended_seconds(progress: Any) -> float:
    """A progress report carries the time when its trigger began."""
    return _seconds(progress["timestamp"]) + float(progress["durationMs"].get("triggerExecution", 0)) / 1_000


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
