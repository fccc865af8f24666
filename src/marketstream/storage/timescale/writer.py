"""Stores every tick, the newest version of every bar and its indicators, and how the feeds are, in PostgreSQL.

Reads: `tick_data`, `aggregated_data_*`, `provider_bars`, `technical_indicators`, `feed_events`, `trade_cancels`
(topics).
Writes: `tick_data`, `aggregated_data`, `technical_indicators`, `feeds`, `feed_events`, `feed_gaps`, `trade_cancels`
(tables).

One transaction per batch: COPY into temporary tables, then an insert that skips known trades and an upsert that never
takes a bar backwards; feed events one by one. So the same batch again, or an older one, changes nothing.
"""

from collections.abc import Iterable, Sequence
from io import StringIO

from psycopg2 import errors
from psycopg2.extensions import connection as Connection  # noqa: N812  # a class under a lower-case name

from marketstream.contracts import tables
from marketstream.domain.errors import StoreUnavailableError
from marketstream.observability.logs import get_logger
from marketstream.ports import Message
from marketstream.settings import PostgresSettings
from marketstream.storage.decoding import Decoded, decode, newest_bars, newest_indicators
from marketstream.storage.latency import observe_received
from marketstream.storage.timescale.cancels import mark_restored, match_cancels, store_cancels
from marketstream.storage.timescale.connection import connect, postgres_errors
from marketstream.storage.timescale.feeds import store_feed_events
from marketstream.storage.timescale.queries import QUERIES
from marketstream.storage.timescale.rows import bar_row, indicators_row, tick_row

_DAY_US = 86_400 * 1_000_000
_STATEMENT_SECONDS = 60.0
_PREPARATIONS = (
    "ping",
    "allow_decompression",
    "create_incoming_ticks",
    "create_incoming_bars",
    "create_incoming_indicators",
)


class TimescaleWriter:
    """A `RestoringWriter` on PostgreSQL, with or without TimescaleDB; whatever is written twice is there once.

    Args:
        settings: Where PostgreSQL is; `marketstream migrate` has made its tables.
    """

    name = "timescale-writer"

    def __init__(self, settings: PostgresSettings) -> None:
        self._settings = settings
        self._connection: Connection | None = None
        self._known_days: set[tuple[str, int]] = set()
        self._log = get_logger(self.name)

    def setup(self) -> None:
        """Connects as the writer role.

        Raises:
            StoreUnavailableError: PostgreSQL is away, or its tables are not there yet.
        """
        self.close()
        with postgres_errors(self._settings):
            self._connection = connect(self._settings, "writer", statement_seconds=_STATEMENT_SECONDS)
            with self._connection, self._connection.cursor() as cursor:
                for name in _PREPARATIONS:
                    cursor.execute(QUERIES[name])

    def write(self, batch: Sequence[Message]) -> None:
        """Stores a batch in one transaction.

        Raises:
            StoreUnavailableError: PostgreSQL is away.
            UndecodableError: Some messages are none of their topics.
            StoreError: PostgreSQL refuses a value.
        """
        decoded = decode(batch)
        self._store(decoded, restored=False)
        observe_received(decoded)

    def restore(self, batch: Sequence[Message]) -> None:
        """Stores a batch in one transaction, and marks those of its ticks that cancels of any time took back.

        Raises:
            StoreUnavailableError: PostgreSQL is away.
            UndecodableError: Some messages are none of their topics.
            StoreError: PostgreSQL refuses a value.
        """
        self._store(decode(batch), restored=True)

    def apply_retention(self, keep_days: dict[str, int]) -> None:
        """Drops what is older, and was stored longer ago, than each table's number of days.

        Raises:
            StoreError: PostgreSQL is away, or a table was busy; nothing is lost by trying again.
        """
        connection = self._open()
        for table, days in keep_days.items():
            with postgres_errors(self._settings), connection, connection.cursor() as cursor:
                cursor.execute(QUERIES["apply_retention"], {"table": table, "keep_days": days})
                dropped = [name for (name,) in cursor.fetchall()]
            if dropped:
                self._known_days.clear()
                self._log.info("retention dropped partitions", table=table, partitions=dropped)

    def close(self) -> None:
        """Disconnects."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            raise StoreUnavailableError("not connected; call setup first")
        return self._connection

    def _store(self, decoded: Decoded, *, restored: bool) -> None:
        with postgres_errors(self._settings):
            try:
                self._write(decoded, restored=restored)
            except errors.CheckViolation:  # no partition for a row: somebody has dropped one since we saw it
                self._known_days.clear()
                self._write(decoded, restored=restored)

    def _write(self, decoded: Decoded, *, restored: bool) -> None:
        connection = self._open()
        ticks = [tick for _, tick in decoded.ticks]
        bars = newest_bars(decoded.bars).values()
        indicators = newest_indicators(decoded.indicators).values()
        kept_events = {event.time_us // _DAY_US for _, event in decoded.feed_events if event.kind != "status"}
        self._ensure_partitions(connection, tables.TICKS, {tick.event_time_us // _DAY_US for tick in ticks})
        self._ensure_partitions(connection, tables.BARS, {bar.start_us // _DAY_US for bar in bars})
        self._ensure_partitions(connection, tables.INDICATORS, {each.start_us // _DAY_US for each in indicators})
        self._ensure_partitions(connection, tables.FEED_EVENTS, kept_events)
        with connection, connection.cursor() as cursor:
            if ticks:
                cursor.copy_expert(QUERIES["copy_ticks"], _lines(map(tick_row, ticks)))
                cursor.execute(QUERIES["insert_ticks"])
                if restored:
                    mark_restored(cursor)
            if bars:
                cursor.copy_expert(QUERIES["copy_bars"], _lines(map(bar_row, bars)))
                cursor.execute(QUERIES["upsert_bars"])
            if indicators:
                cursor.copy_expert(QUERIES["copy_indicators"], _lines(map(indicators_row, indicators)))
                cursor.execute(QUERIES["upsert_indicators"])
            store_feed_events(cursor, decoded.feed_events)
            store_cancels(cursor, (cancel for _, cancel in decoded.cancels))
            if ticks or decoded.cancels:
                match_cancels(cursor)

    def _ensure_partitions(self, connection: Connection, table: str, days: Iterable[int]) -> None:
        missing = sorted(day for day in days if (table, day) not in self._known_days)
        if not missing:
            return
        with connection, connection.cursor() as cursor:
            moments_us = [day * _DAY_US for day in missing]
            cursor.execute(QUERIES["ensure_partitions"], {"table": table, "moments_us": moments_us})
        self._known_days.update((table, day) for day in missing)


def _lines(rows: Iterable[str]) -> StringIO:
    return StringIO("".join(rows))
