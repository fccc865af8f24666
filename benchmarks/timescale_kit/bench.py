"""One database on PostgreSQL or TimescaleDB: filled by the writer's statements, asked by the reader's, and timed."""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

from psycopg2.extensions import connection as Connection  # noqa: N812  # a class under a lower-case name
from timescale_kit.market import DAY_US, SYMBOLS, Market

from marketstream.settings import PostgresSettings
from marketstream.storage.timescale.connection import connect
from marketstream.storage.timescale.migrate import migrate
from marketstream.storage.timescale.queries import QUERIES

TABLES = ("tick_data", "aggregated_data")

ROLLUP = """
    select symbol, date_bin('1 hour', {time}, timestamptz 'epoch'), max({high}), min({low}), sum({volume}), {count}
    from {table} where {condition} group by 1, 2
"""
TICK_ROLLUP = ROLLUP.format(
    time="event_time", high="price", low="price", volume="size", count="count(*)", table="tick_data", condition="true"
)
BAR_ROLLUP = ROLLUP.format(
    time="start_time",
    high="high",
    low="low",
    volume="volume",
    count="sum(trade_count)",
    table="aggregated_data",
    condition="\"interval\" = '1min'",
)
KEPT_ROLLUP = "select symbol, start_time, high, low, volume, trade_count from bars_1h"
PLAIN_SIZE = "select sum(pg_total_relation_size(relid)) from pg_partition_tree(%s)"
CHUNKS_SIZE = "select public.hypertable_size(%s::regclass)"
COMPRESS = "select public.compress_chunk(chunk) from public.show_chunks(%s::regclass) as chunk"
NO_JOBS = """
    select public.alter_job(job_id, scheduled => false) from timescaledb_information.jobs
    where owner = current_user::regrole
"""


class Bench:
    """One migrated database, and how it stores and answers.

    Args:
        settings: Where PostgreSQL is.
        market: What is stored.
        runs: How often each query is asked; the median counts.
    """

    def __init__(self, settings: PostgresSettings, market: Market, runs: int) -> None:
        self._settings, self._market, self._runs = settings, market, runs
        self.answers: dict[str, Any] = {}
        migrate(settings)
        self.hypertables = self._owner("select to_regclass('table_partitions') is null") == [(True,)]
        if self.hypertables:
            self._owner(NO_JOBS)  # what they do is done here by hand, when its turn comes

    def fill(self) -> dict[str, float]:
        """Stores everything as the writer does, and tells how many rows a second that took."""
        self._make_partitions()
        figures = {
            "insert ticks, rows/s": self._store("ticks", "insert_ticks", self._market.tick_batches()),
            "insert bars, rows/s": self._store("bars", "upsert_bars", self._market.bar_batches()),
        }
        self._owner("analyze")
        return figures

    def backfill(self, count: int) -> dict[str, float]:
        """Stores trades of an old day, first new, then known."""
        late = list(self._market.late_batches(count))
        return {
            "late ticks, rows/s": self._store("ticks", "insert_ticks", late),
            "the same again, rows/s": self._store("ticks", "insert_ticks", late),
        }

    def compress(self) -> dict[str, float]:
        """Compresses all chunks, as their policy would once they are old enough."""
        begun = time.perf_counter()
        for table in TABLES:
            self._owner(COMPRESS, (table,))
        figures = {"compressing, s": time.perf_counter() - begun}
        self._owner("analyze")
        return figures

    def refresh(self) -> dict[str, float]:
        """Brings the hourly rollup up to an hour ago."""
        begun = time.perf_counter()
        upto = datetime.fromtimestamp(self._market.end_us / 1e6 - 3_600, UTC)
        self._owner("call public.refresh_continuous_aggregate('bars_1h', null, %s)", (upto,))
        return {"refreshing the hourly rollup, s": time.perf_counter() - begun}

    def sizes(self) -> dict[str, float]:
        """MB on disk with indexes."""
        query = CHUNKS_SIZE if self.hypertables else PLAIN_SIZE
        return {f"{table}, MB": float(self._owner(query, (table,))[0][0]) / 1e6 for table in TABLES}

    def queries(self) -> dict[str, float]:
        """Median milliseconds of each, everything fetched."""
        end = datetime.fromtimestamp(self._market.end_us / 1e6, UTC)
        noon = end - timedelta(days=self._market.tick_days - 1, hours=12)
        always = {"symbol": SYMBOLS[7], "start": "-infinity", "end": "infinity", "void": False}
        hour = {**always, "start": noon, "end": noon + timedelta(hours=1), "limit": 10**6}
        asked = {
            "one hour of a symbol's ticks, ms": (QUERIES["ticks"], hour),
            "a symbol's newest 1,000 ticks, ms": (QUERIES["ticks"], {**always, "limit": 1_000}),
            "a symbol's newest 1,000 bars, ms": (QUERIES["bars"], {**always, "interval": "1min", "limit": 1_000}),
            "all symbols, ms": (QUERIES["symbols"], {}),
            "hourly rollup of all ticks, ms": (TICK_ROLLUP, {}),
            "hourly rollup of all bars, computed, ms": (BAR_ROLLUP, {}),
            "hourly rollup of all bars, from bars_1h, ms": (KEPT_ROLLUP, {}),
            "a symbol's newest 100 hours, ms": (
                QUERIES["bars_and_rolled_up"],
                {**always, "interval": "1h", "limit": 100},
            ),
        }
        with closing(connect(self._settings, "reader", statement_seconds=0)) as connection:
            connection.autocommit = True
            return {name: self._ask(connection, name, *each) for name, each in asked.items()}

    def _ask(self, connection: Connection, name: str, query: str, parameters: Mapping[str, Any]) -> float:
        spent = []
        for _ in range(self._runs + 1):
            begun = time.perf_counter()
            with connection.cursor() as cursor:
                cursor.execute(query, dict(parameters))
                rows = cursor.fetchall()
            spent.append(1_000 * (time.perf_counter() - begun))
        self.answers[name] = sorted(rounded(row) for row in rows)
        return statistics.median(spent[1:])  # the first one warms up

    def _store(self, kind: str, statement: str, parts: Iterator[bytes] | Sequence[bytes]) -> float:
        spent, rows = 0.0, 0
        with closing(connect(self._settings, "writer", statement_seconds=0)) as connection:
            with connection, connection.cursor() as cursor:
                cursor.execute(QUERIES["ping"])
                cursor.execute(QUERIES["allow_decompression"])
                cursor.execute(QUERIES[f"create_incoming_{kind}"])
            for part in parts:
                begun = time.perf_counter()
                with connection, connection.cursor() as cursor:
                    cursor.copy_expert(QUERIES[f"copy_{kind}"], BytesIO(part))
                    cursor.execute(QUERIES[statement])
                spent += time.perf_counter() - begun
                rows += part.count(b"\n")
        return rows / spent

    def _make_partitions(self) -> None:
        days = {"tick_data": self._market.tick_days, "aggregated_data": self._market.bar_days}
        with closing(connect(self._settings, "writer", statement_seconds=0)) as connection, connection:
            for table, count in days.items():
                moments = [self._market.end_us - (number + 1) * DAY_US for number in range(count)]
                with connection.cursor() as cursor:
                    cursor.execute(QUERIES["ensure_partitions"], {"table": table, "moments_us": moments})

    def _owner(self, query: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with closing(connect(self._settings, "owner", statement_seconds=0)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query, parameters)
                return cursor.fetchall() if cursor.description else []


def rounded(row: tuple[Any, ...]) -> tuple[str, ...]:
    """A row in which sums made in another order are the same."""
    return tuple(f"{value:.9g}" if isinstance(value, float) else str(value) for value in row)
