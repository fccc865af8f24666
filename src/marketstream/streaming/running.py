"""A query that runs: watched, with its progress in a file and in Prometheus's metrics, until a signal or its end.

Writes: `<data_dir>/run/<query>.json`; the metrics of `QueryObserver`.
"""

import signal
import threading
import time
from pathlib import Path
from typing import Any

import orjson
from pyspark.errors import StreamingQueryException
from pyspark.sql.streaming.query import StreamingQuery

from marketstream.domain.errors import StreamingError
from marketstream.streaming.query_metrics import QueryObserver
from marketstream.streaming.waker import Waker

_PROGRESS_SECONDS = 1.0
_NO_LIMIT = 2**63


def stop_signal() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def watch(
    query: StreamingQuery,
    stop: threading.Event,
    folder: Path,
    observer: QueryObserver,
    *,
    waker: Waker | None = None,
    rows_max: int = _NO_LIMIT,
) -> int:
    """Returns how many rows its state has when `stop` is set, or when they are more than `rows_max`.

    Args:
        query: Running, with a name.
        stop: Set to end the watch; the query goes on.
        folder: Where its progress is written.
        observer: Tells Prometheus.
        waker: Keeps its timers going, if it has any.
        rows_max: See above.

    Raises:
        StreamingError: The query ended by itself.
        BusError: It cannot be woken.
    """
    rows = 0
    while not stop.wait(_PROGRESS_SECONDS) and rows <= rows_max:
        if not query.isActive:
            error: StreamingQueryException | None = query.exception()
            raise StreamingError(f"the {query.name} query stopped by itself: {error}")
        if waker is not None:
            waker.look()
        progress = observer.look(query)
        rows = sum(operator["numRowsTotal"] for operator in progress["stateOperators"]) if progress else 0
        _write(folder / f"{query.name}.json", _report(query, progress, rows, sum(observer.lag.values())))
    return rows


def _report(query: StreamingQuery, progress: Any, rows: int, lag: int) -> dict[str, Any]:
    observed = progress["observedMetrics"] if progress else {}
    return {
        "query_id": str(query.id),
        "updated_us": time.time_ns() // 1_000,
        "batch_id": progress["batchId"] if progress else None,
        "input_rows_per_second": progress["inputRowsPerSecond"] if progress else None,
        "processed_rows_per_second": progress["processedRowsPerSecond"] if progress else None,
        "durations_ms": progress["durationMs"] if progress else None,
        "state_rows": rows,
        "lag_messages": lag,
        "observed": {name: row.asDict() for name, row in observed.items()},
        "status": query.status["message"],
    }


def _write(path: Path, report: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".tmp")
    written.write_bytes(orjson.dumps(report))
    written.replace(path)
